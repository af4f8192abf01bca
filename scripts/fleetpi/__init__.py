"""A Raspberry Pi that is none: arm64 Debian in QEMU, with the sensors and the power cuts of a barn.

scripts/test-pi installs the packages there and looks at what becomes of them. Standard library only.
"""
