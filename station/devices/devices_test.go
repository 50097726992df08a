package devices

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// bench is a file system with a scanner, a USB bridge without a serial number, a port of the board, a port in reserve, a
// keyboard scanner, a mouse, a button, two chips and an LED.
func bench(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	file := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o660); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(root, path), 0o660); err != nil { // past the umask
			t.Fatal(err)
		}
	}
	link := func(path, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	for name, usb := range map[string]map[string]string{
		"1-1": {"manufacturer": "Honeywell\n", "product": "1900\n", "idVendor": "0c2e\n", "idProduct": "0b61\n", "serial": "S4711\n"},
		"1-2": {"idVendor": "1a86\n", "idProduct": "7523\n", "product": "USB \xff Serial\n"},
	} {
		for key, value := range usb {
			file("sys/devices/usb/"+name+"/"+key, value)
		}
	}
	file("sys/devices/usb/1-1/1-1:1.0/tty/ttyACM0/dev", "166:0")
	file("sys/devices/usb/1-2/1-2:1.0/ttyUSB10/tty/ttyUSB10/dev", "188:10")
	file("sys/devices/soc/fe201000.serial/tty/ttyAMA0/type", "32")
	file("sys/devices/platform/serial8250/tty/ttyS1/type", "0")
	file("sys/devices/virtual/tty/tty0/dev", "4:0")
	for name, at := range map[string]string{"ttyACM0": "usb/1-1/1-1:1.0", "ttyUSB10": "usb/1-2/1-2:1.0/ttyUSB10", "ttyAMA0": "soc/fe201000.serial", "ttyS1": "platform/serial8250"} {
		link("sys/class/tty/"+name, "../../devices/"+at+"/tty/"+name)
		link("sys/devices/"+at+"/tty/"+name+"/device", "../..")
		file("dev/"+name, "")
	}
	link("sys/class/tty/tty0", "../../devices/virtual/tty/tty0")
	file("dev/tty0", "")
	link("dev/serial/by-id/usb-Honeywell_1900_S4711-if00", "../../ttyACM0")
	link("dev/serial/by-path/platform-usb-0:1.1", "../../ttyACM0")
	link("dev/serial/by-path/platform-usb-0:1.2", "../../ttyUSB10")
	link("dev/serial0", "ttyAMA0")
	link("dev/stdin", "tty0")
	keys := strings.Repeat("0 ", 128/strconv.IntSize) // BTN_MISC and beyond, then what lies below
	for name, what := range map[string][2]string{"event0": {"Wedge Scanner", "ffff fffe"}, "event1": {"Mouse", "1f0000" + strings.Repeat(" 0", 0x100/strconv.IntSize)}, "event2": {"gpio-keys", keys + "10000000"}} {
		file("sys/class/input/"+name+"/device/name", what[0])
		file("sys/class/input/"+name+"/device/capabilities/key", what[1])
		file("dev/input/"+name, "")
	}
	link("dev/input/by-id/usb-Wedge-event-kbd", "../event0")
	file("dev/gpiochip0", "")
	file("dev/gpiochip1", "")
	link("dev/gpiochip4", "gpiochip0")
	file("sys/class/leds/ACT/brightness", "0")
	file("etc/group", "dialout:x:"+strconv.Itoa(os.Getgid())+":pi\nroot:x:0:\n")
	return root
}

func search(root string) Search {
	return Search{Root: root, User: User{UID: 54321}, Chip: func(path string) (string, []Line, error) {
		if filepath.Base(path) == "gpiochip1" {
			return "", nil, errors.New("permission denied")
		}
		return "pinctrl-rp1", []Line{{Offset: 17, Name: "GPIO17", User: "lamp"}}, nil
	}}
}

func TestEveryDeviceHasItsStableNames(t *testing.T) {
	root := bench(t)
	s := search(root)
	s.Used = map[string]string{"/dev/serial/by-id/usb-Honeywell_1900_S4711-if00": "reader scanner", "/dev/serial/by-id/gone": "reader antenna"}
	got, err := json.MarshalIndent(s.Find(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/bench.json")
	if err != nil || string(got)+"\n" != string(want) {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestMissingGroups(t *testing.T) {
	root := bench(t)
	s := search(root)
	if inv := s.Find(); !slices.Equal(inv.Groups, []string{"dialout"}) {
		t.Errorf("a stranger lacks %q", inv.Groups)
	}
	s.Used = map[string]string{"/dev/nothing": "reader x"}
	if inv := s.Find(); inv.Groups != nil || inv.Serial[0].Group != "dialout" {
		t.Errorf("for what isn't named he needs %q", inv.Groups)
	}
	s.Used = nil
	for name, u := range map[string]User{"a member": {UID: 54321, Groups: []int{1, os.Getgid()}}, "root": {}, "the owner": {UID: os.Getuid()}} {
		s.User = u
		if inv := s.Find(); inv.Groups != nil {
			t.Errorf("%s lacks %q", name, inv.Groups)
		}
	}
}

func TestAnEmptyMachineHasNothing(t *testing.T) {
	inv := search(t.TempDir()).Find()
	if n := len(inv.Serial) + len(inv.Input) + len(inv.GPIO) + len(inv.LEDs) + len(inv.Groups); n != 0 {
		t.Errorf("%+v", inv)
	}
}

// TestStructsOfTheKernel holds their sizes, which are part of the requests' numbers, on each machine.
func TestStructsOfTheKernel(t *testing.T) {
	if n := unsafe.Sizeof(chipInfo{}); n != getChipInfo>>16&0x3fff {
		t.Errorf("chip info has %d bytes", n)
	}
	if n := unsafe.Sizeof(lineInfo{}); n != getLineInfo>>16&0x3fff {
		t.Errorf("line info has %d bytes", n)
	}
	if o := unsafe.Offsetof(lineInfo{}.flags); o != 72 {
		t.Errorf("flags are at %d", o)
	}
	if _, _, err := AskChip("/dev/null"); err == nil || !strings.HasPrefix(err.Error(), "ask chip /dev/null: ") {
		t.Error(err)
	}
}
