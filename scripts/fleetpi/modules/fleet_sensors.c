// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sensors of a Raspberry Pi that the kernel cannot simulate by itself: the processor's thermal zone, and
 * a DS18B20 on a 1-Wire bus, which the kernel's own driver w1_therm reads.
 *
 * /sys/module/fleet_sensors/parameters says what they measure, and how they fail.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/thermal.h>
#include <linux/w1.h>

static int cpu_millidegrees = 45000;
module_param(cpu_millidegrees, int, 0644);
MODULE_PARM_DESC(cpu_millidegrees, "temperature of the thermal zone cpu-thermal");

static int barn_millidegrees = 21500;
module_param(barn_millidegrees, int, 0644);
MODULE_PARM_DESC(barn_millidegrees, "temperature of the DS18B20, which counts in sixteenths of a degree");

static bool barn_corrupt;
module_param(barn_corrupt, bool, 0644);
MODULE_PARM_DESC(barn_corrupt, "the DS18B20 sends a wrong checksum");

/* The thermal zone. */

static struct thermal_zone_device *zone;

static int zone_get_temp(struct thermal_zone_device *unused, int *temperature)
{
	*temperature = READ_ONCE(cpu_millidegrees);
	return 0;
}

static const struct thermal_zone_device_ops zone_ops = { .get_temp = zone_get_temp };

/* The DS18B20, by its data sheet: a command that chooses devices, then one that says what to do. */

#define MATCH_ROM 0x55
#define SKIP_ROM 0xcc
#define CONVERT 0x44
#define WRITE_SCRATCHPAD 0x4e
#define READ_SCRATCHPAD 0xbe

#define FAMILY_DS18B20 0x28
#define SERIAL_NUMBER 0xfee7ULL

static struct {
	u8 scratchpad[9];	/* temperature, two alarms, configuration, three reserved, checksum */
	u8 command;
	u8 position;		/* in the scratchpad */
	u8 to_skip;		/* bytes of an address that are still to come */
} thermometer = { .scratchpad = { 0x50, 0x05, 75, 70, 0x7f, 0xff, 0x00, 0x10 } };

static u8 bus_reset(void *unused)
{
	thermometer.command = 0;
	thermometer.to_skip = 0;
	return 0;		/* somebody is there */
}

static void bus_write_byte(void *unused, u8 byte)
{
	int sixteenths;

	if (thermometer.to_skip) {
		thermometer.to_skip--;
		return;
	}
	if (thermometer.command == WRITE_SCRATCHPAD) {
		if (thermometer.position < 5)
			thermometer.scratchpad[thermometer.position++] = byte;
		return;
	}
	switch (byte) {
	case SKIP_ROM:
		break;
	case MATCH_ROM:
		thermometer.to_skip = 8;
		break;
	case CONVERT:
		sixteenths = READ_ONCE(barn_millidegrees) * 16 / 1000;
		thermometer.scratchpad[0] = sixteenths;
		thermometer.scratchpad[1] = sixteenths >> 8;
		break;
	case WRITE_SCRATCHPAD:
		thermometer.command = byte;
		thermometer.position = 2;
		break;
	case READ_SCRATCHPAD:
		thermometer.command = byte;
		thermometer.position = 0;
		thermometer.scratchpad[8] = w1_calc_crc8(thermometer.scratchpad, 8);
		if (READ_ONCE(barn_corrupt))
			thermometer.scratchpad[8] ^= 1;
		break;
	}
}

static u8 bus_read_byte(void *unused)
{
	if (thermometer.command == READ_SCRATCHPAD && thermometer.position < sizeof(thermometer.scratchpad))
		return thermometer.scratchpad[thermometer.position++];
	return 0xff;		/* nobody pulls the line down */
}

/* One bit alone is asked for after "how are you fed": a 1 says, not by the line. */
static u8 bus_touch_bit(void *unused, u8 bit)
{
	return bit;
}

static void bus_search(void *unused, struct w1_master *master, u8 type, w1_slave_found_callback found)
{
	u64 address = FAMILY_DS18B20 | SERIAL_NUMBER << 8;
	__le64 bytes = cpu_to_le64(address);

	found(master, address | (u64)w1_calc_crc8((u8 *)&bytes, 7) << 56);
}

static struct w1_bus_master bus = {
	.reset_bus = bus_reset,
	.write_byte = bus_write_byte,
	.read_byte = bus_read_byte,
	.touch_bit = bus_touch_bit,
	.search = bus_search,
};

static int __init sensors_init(void)
{
	int error;

	zone = thermal_tripless_zone_device_register("cpu-thermal", NULL, &zone_ops, NULL);
	if (IS_ERR(zone))
		return PTR_ERR(zone);
	error = thermal_zone_device_enable(zone);
	if (!error)
		error = w1_add_master_device(&bus);
	if (error)
		thermal_zone_device_unregister(zone);
	return error;
}

static void __exit sensors_exit(void)
{
	w1_remove_master_device(&bus);
	thermal_zone_device_unregister(zone);
}

module_init(sensors_init);
module_exit(sensors_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Simulated sensors of a Raspberry Pi");
