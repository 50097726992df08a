package main

import (
	"strings"
	"testing"

	"station-agent/station/devices"
)

func TestDevicesAreShownByTheNameToConfigure(t *testing.T) {
	inv := devices.Inventory{
		Serial: []devices.Device{
			{Node: "/dev/ttyACM0", Stable: []string{"/dev/serial/by-id/x", "/dev/serial/by-path/y"}, What: "Maker \x1b[2J", Used: "reader scanner", Group: "dialout"},
			{Node: "/dev/ttyUSB1", Stable: []string{}},
		},
		GPIO:   []devices.Device{{Node: "/dev/gpiochip0", Stable: []string{"pinctrl-rp1"}, What: "pinctrl-rp1", Lines: []devices.Line{{Offset: 17, Name: "GPIO17", User: "lamp"}}}},
		Absent: []devices.Absent{{Path: "/dev/gone", Used: "reader antenna"}},
		Groups: []string{"dialout", "root"},
	}
	var out strings.Builder
	if err := showDevices(&out, inv, "pi", true); err != nil {
		t.Fatal(err)
	}
	want := `Serial ports:
  /dev/serial/by-id/x  now /dev/ttyACM0  = reader scanner
      Maker  [2J
      also /dev/serial/by-path/y
  /dev/ttyUSB1  (no stable name)
Keyboards, and what plays one:
  none
GPIO chips:
  pinctrl-rp1  now /dev/gpiochip0
      pinctrl-rp1:17  GPIO17  lamp
LEDs:
  none

reader antenna: /dev/gone is not there: plug it in, or correct the configuration

user pi may not use all of it: sudo usermod -aG dialout pi, then start the agent (or sign on) anew

some belong to root alone (see --json): a udev rule has to give them to a group, such as SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="gpio", MODE="0660"
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestDevicesSaysWhatTheConfigurationNamesInVain(t *testing.T) {
	p := newPlace(t)
	p.want(exitFailed, []string{"reader scanner: /dev/serial/by-id/usb-CHANGE is not there", "not all that the configuration names can be used"}, "devices")
	out, errs, code := command(t, "devices", "--config", p.path("none"))
	if code != 0 || !strings.Contains(errs, "nothing is marked as configured") || !strings.HasPrefix(out, "Serial ports:") {
		t.Errorf("without a configuration: exit code %d, %s%s", code, out, errs)
	}
}
