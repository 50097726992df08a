// Package devices lists what stands at the bench, for the person who sets it up: serial ports, keyboards, GPIO chips and
// LEDs, each by the name that stays when it is unplugged or the machine starts anew.
//
// It reads /sys, /dev and /etc only. It promises to open no serial port and no input device: opening a port moves its
// modem lines and resets some readers, and a port may be somebody else's. Of a GPIO chip it asks only what the chip is.
package devices

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// Device is one thing that the configuration can name.
type Device struct {
	Node   string   `json:"node"`            // the kernel's name for it now: /dev/ttyACM0
	Stable []string `json:"stable"`          // what to write into the configuration, the best first; empty if there is no such name
	What   string   `json:"what"`            // its maker and model, as far as it says so
	Used   string   `json:"used,omitempty"`  // what the configuration calls it
	Group  string   `json:"group,omitempty"` // that the user has to be in, if he may not use it
	Lines  []Line   `json:"lines,omitempty"` // of a GPIO chip
}

// Line is one line of a GPIO chip.
type Line struct {
	Offset int    `json:"offset"`
	Name   string `json:"name,omitempty"` // as the kernel calls it, which differs by board
	User   string `json:"user,omitempty"` // who holds it
}

// Inventory is all that was found, each list in the order of the nodes.
type Inventory struct {
	Serial []Device `json:"serial"`
	Input  []Device `json:"input"` // what sends keys: keyboards, scanners that play one, buttons
	GPIO   []Device `json:"gpio"`
	LEDs   []Device `json:"leds"`
	Absent []Absent `json:"absent,omitempty"`
	Groups []string `json:"missing_groups,omitempty"` // that the user has to join for what the configuration names, or for all if it names nothing
}

// Absent is a device that the configuration names and that isn't there.
type Absent struct {
	Path string `json:"path"`
	Used string `json:"used"`
}

// User is who is to use the devices.
type User struct {
	UID    int
	Groups []int
}

// Search says where to look and what to look for.
type Search struct {
	Root string                                    // of the file system, "" for /
	Used map[string]string                         // by the path in the configuration: what it is there
	User User                                      // whose rights are looked at
	Chip func(path string) (string, []Line, error) // asks a GPIO chip for its label and lines, see AskChip
}

// Find looks around. What can't be read is left out: the list is for a person who sees what stands there.
func (s Search) Find() Inventory {
	inv := Inventory{Serial: s.serial(), Input: s.input(), GPIO: s.chips(), LEDs: s.leds()}
	for path, used := range s.Used {
		if _, err := os.Stat(s.at(path)); err != nil {
			inv.Absent = append(inv.Absent, Absent{path, used})
		}
	}
	sort.Slice(inv.Absent, func(i, k int) bool { return inv.Absent[i].Path < inv.Absent[k].Path })
	for _, d := range slices.Concat(inv.Serial, inv.Input, inv.GPIO) {
		if d.Group != "" && (d.Used != "" || len(s.Used) == 0) && !slices.Contains(inv.Groups, d.Group) {
			inv.Groups = append(inv.Groups, d.Group)
		}
	}
	return inv
}

func (s Search) at(path ...string) string {
	return filepath.Join(append([]string{cmp.Or(s.Root, "/")}, path...)...)
}

// serial lists the ports behind which a device or a chip is. The kernel makes ttyS nodes in reserve, of type 0.
func (s Search) serial() []Device {
	stable := s.links("dev/serial/by-id", "dev/serial/by-path", "dev")
	var list []Device
	for _, name := range s.names("sys/class/tty") {
		class := s.at("sys/class/tty", name)
		hardware, err := filepath.EvalSymlinks(filepath.Join(class, "device"))
		if err != nil || s.word(class, "type") == "0" {
			continue
		}
		if d, there := s.device(name, stable); there {
			d.What = s.usb(hardware)
			list = append(list, d)
		}
	}
	return list
}

// input lists what has keys: those of a keyboard, or some (buttons of a gpio-keys node).
func (s Search) input() []Device {
	stable := s.links("dev/input/by-id", "dev/input/by-path")
	var list []Device
	for _, name := range s.names("sys/class/input") {
		class := s.at("sys/class/input", name)
		if !strings.HasPrefix(name, "event") || !hasKeys(s.word(class, "device/capabilities/key")) {
			continue
		}
		if d, there := s.device("input/"+name, stable); there {
			d.What = s.word(class, "device/name")
			list = append(list, d)
		}
	}
	return list
}

// hasKeys tells whether a bit below BTN_MISC (0x100) is set in words of hexadecimal digits, the highest first: a mouse has
// buttons and no keys. A word is 32 or 64 bits, as the kernel is.
func hasKeys(words string) bool {
	list := strings.Fields(words)
	bits := 64
	if strconv.IntSize == 32 {
		bits = 32
	}
	for n, w := range list {
		if v, err := strconv.ParseUint(w, 16, 64); err == nil && v != 0 && (len(list)-1-n)*bits < 0x100 {
			return true
		}
	}
	return false
}

// chips lists the GPIO chips, each once: a Raspberry Pi 5 has a second name for one.
func (s Search) chips() []Device {
	var list []Device
	nodes, _ := filepath.Glob(s.at("dev/gpiochip*"))
	for _, node := range nodes {
		if info, err := os.Lstat(node); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			continue
		}
		d, there := s.device(filepath.Base(node), nil)
		if !there {
			continue
		}
		label, lines, err := s.Chip(node)
		if err != nil {
			label = s.word(s.at("sys/bus/gpio/devices", filepath.Base(node)), "label")
		}
		if d.What, d.Lines = label, lines; label != "" {
			d.Stable = []string{label}
		}
		list = append(list, d)
	}
	return list
}

func (s Search) leds() []Device {
	var list []Device
	for _, name := range s.names("sys/class/leds") {
		list = append(list, Device{Node: filepath.Join("/sys/class/leds", name), Stable: []string{"led:" + name},
			Used: s.Used[filepath.Join("/sys/class/leds", name)]})
	}
	return list
}

// device is what is behind a node below /dev.
func (s Search) device(name string, stable map[string][]string) (Device, bool) {
	node := filepath.Join("/dev", name)
	info, err := os.Stat(s.at(node))
	if err != nil {
		return Device{}, false
	}
	d := Device{Node: node, Stable: stable[s.at(node)]}
	if d.Stable == nil {
		d.Stable = []string{}
	}
	if len(d.Stable) == 0 && (strings.HasPrefix(name, "ttyAMA") || strings.HasPrefix(name, "ttyS")) {
		d.Stable = []string{node} // on the board: it can't be unplugged
	}
	for path, used := range s.Used {
		if real, err := filepath.EvalSymlinks(s.at(path)); err == nil && real == s.at(node) {
			d.Used = used
		}
	}
	d.Group = s.lacks(info)
	return d, true
}

// lacks names the group that the user would have to be in to read and write; "" if he may, or no group would help.
func (s Search) lacks(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	if !ok || s.User.UID == 0 || mode&0o006 == 0o006 || int(stat.Uid) == s.User.UID && mode&0o600 == 0o600 {
		return ""
	}
	if mode&0o060 != 0o060 || slices.Contains(s.User.Groups, int(stat.Gid)) {
		return ""
	}
	return s.group(int(stat.Gid))
}

// group is the name of a group, or its number.
func (s Search) group(gid int) string {
	text, _ := os.ReadFile(s.at("etc/group"))
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == strconv.Itoa(gid) {
			return f[0]
		}
	}
	return strconv.Itoa(gid)
}

// links gives the names of each device in folders of links, those of the first folder first.
func (s Search) links(folders ...string) map[string][]string {
	names := map[string][]string{}
	for _, folder := range folders {
		for _, name := range s.names(folder) {
			path := s.at(folder, name)
			info, err := os.Lstat(path)
			if err != nil || info.Mode()&fs.ModeSymlink == 0 || !isLink(folder, name) {
				continue
			}
			if real, err := filepath.EvalSymlinks(path); err == nil {
				names[real] = append(names[real], filepath.Join("/", folder, name))
			}
		}
	}
	return names
}

// isLink keeps of the links right in /dev those to ports of the board.
func isLink(folder, name string) bool { return folder != "dev" || strings.HasPrefix(name, "serial") }

// names lists a folder by name, numbers in their order: ttyUSB2 before ttyUSB10.
func (s Search) names(folder string) []string {
	entries, _ := os.ReadDir(s.at(folder))
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.TrimRight(a, "0123456789"), strings.TrimRight(b, "0123456789")), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	return list
}

// usb says what a USB device calls itself: the folder above its interface that has an idVendor.
func (s Search) usb(folder string) string {
	for ; strings.HasPrefix(folder, s.at("sys")); folder = filepath.Dir(folder) {
		vendor := s.word(folder, "idVendor")
		if vendor == "" {
			continue
		}
		what := strings.TrimSpace(s.word(folder, "manufacturer") + " " + s.word(folder, "product"))
		what = strings.TrimPrefix(what+", USB "+vendor+":"+s.word(folder, "idProduct"), ", ")
		if serial := s.word(folder, "serial"); serial != "" {
			what += ", serial number " + serial
		}
		return what
	}
	return "on the board"
}

// word reads a small file of /sys.
func (s Search) word(folder, name string) string {
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil || len(b) > 4096 {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(b)), "?")
}
