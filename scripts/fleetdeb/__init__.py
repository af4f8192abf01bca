"""What `scripts/deb` is made of: Fleet's programs and packages for Debian, on an amd64 machine.

Standard library only: this runs before anything is installed.
"""
