package vm

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"station-agent/build/bed"
	"station-agent/build/qemu"
)

// What devices are called in the guest, after udev.
const (
	readerSerial   = "READER"
	keyboardSerial = "KEYS"

	USBReader   = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_" + readerSerial + "-if00-port0"
	USBKeyboard = "/dev/input/by-id/usb-QEMU_QEMU_USB_Keyboard_" + keyboardSerial + "-event-kbd"
	UART        = "/dev/ttyAMA0"
)

// Model is a kind of machine.
type Model struct {
	Name     string
	Target   string   // of build/build.sh
	Goarch   string   // of the guest,
	Goarm    string   // and
	Suite    string   // of the kernel
	Package  string   // with the kernel
	Emulator string   // the program of QEMU
	Args     []string // for it: board, processor, memory
	Modules  []string // of the kernel
	Console  string   // its device in the guest
}

// Models are all there are.
func Models() []Model {
	usb := []string{"xhci_pci", "ftdi_sio", "usbhid", "hid_generic", "evdev", "virtio_net", "virtio_pci"}
	return []Model{
		{Name: "arm64", Target: "arm64", Goarch: "arm64", Suite: "trixie/arm64", Package: "linux-image-arm64", Emulator: "qemu-system-aarch64",
			Args: []string{"-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512"}, Modules: usb, Console: "ttyAMA0"},
		{Name: "armv7", Target: "armv7", Goarch: "arm", Goarm: "7", Suite: "trixie/armhf", Package: "linux-image-armmp", Emulator: "qemu-system-arm",
			Args: []string{"-M", "virt,highmem=off", "-cpu", "cortex-a7", "-smp", "2", "-m", "512"}, Modules: usb, Console: "ttyAMA0"},
		{Name: "raspi0", Target: "armv6", Goarch: "arm", Goarm: "6", Suite: "bookworm/armel", Package: "linux-image-rpi", Emulator: "qemu-system-arm",
			// Its clock goes by what the processor did: on a busy host the system timer would miss a moment and wait for it an hour.
			Args: []string{"-M", "raspi0", "-icount", "shift=auto"}, Console: "ttyS1"},
	}
}

// virt tells whether the machine is QEMU's own board, else a Pi.
func (m Model) virt() bool { return strings.HasPrefix(m.Args[1], "virt") }

// Parts is what a machine is made of.
type Parts struct {
	Tools  qemu.Packages // QEMU, the compiler of device trees, xz
	Kernel qemu.Packages
	Agent  string            // program
	Guest  string            // program
	Files  map[string]string // of the agent's folder, by name: a file here each
	Dir    string            // for what is made; short: sockets lie in there
}

// Machine is one that runs.
type Machine struct {
	Model
	Log     *bed.Log // all that the console says
	Monitor *Monitor
	Pins    Pins

	dir   string
	in    io.Writer
	ended chan struct{} // closed when QEMU is gone and all that it said is read
	stop  context.CancelFunc
}

// lineNames are those of the PL061's eight lines: the header's pins that the README gives to lamps and the close button. Line 3
// is the power button of the board.
func lineNames() []string {
	return []string{"GPIO17", "GPIO27", "GPIO22", "", "GPIO23", "GPIO24", "GPIO18", "GPIO5"}
}

// Boot starts a machine. It ends with ctx, or by Close.
func Boot(ctx context.Context, model Model, p Parts) (*Machine, error) {
	m := &Machine{Model: model, Log: &bed.Log{}, dir: p.Dir, ended: make(chan struct{})}
	ctx, m.stop = context.WithCancel(ctx)
	args, err := m.arguments(ctx, p)
	if err != nil {
		m.stop()
		return nil, fmt.Errorf("set up %s: %w", m.Name, err)
	}
	cmd := p.Tools.Command(ctx, "usr/bin/"+m.Emulator, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.launch(cmd); err != nil {
		m.stop()
		return nil, fmt.Errorf("start %s: %w", m.Name, err)
	}
	if err := m.connect(ctx); err != nil {
		err = fmt.Errorf("start %s: %w\n%s", m.Name, err, tail(m.Log.Lines(nil), 60))
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Machine) at(name string) string { return filepath.Join(m.dir, name) }

func (m *Machine) arguments(ctx context.Context, p Parts) ([]string, error) {
	kernel, err := p.Kernel.One("boot/vmlinuz-*")
	if err != nil {
		return nil, err
	}
	modules := p.Kernel.Path("usr/lib/modules")
	if _, err := os.Stat(modules); err != nil { // before Debian 13
		modules = p.Kernel.Path("lib/modules")
	}
	files := map[string]string{"station-agent": p.Agent}
	for name, file := range p.Files {
		files["station/"+name] = file
	}
	root, err := qemu.Initramfs{Init: p.Guest, Folders: []string{"station", "tmp"}, Files: files, Kernel: modules, Modules: m.Modules,
		Unxz: func(file string) ([]byte, error) { return p.Tools.Command(ctx, "usr/bin/xz", "-dc", file).Output() }}.Make()
	if err == nil {
		err = os.WriteFile(m.at("initramfs"), root, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("make the initramfs: %w", err)
	}
	tree, err := m.deviceTree(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("make the device tree: %w", err)
	}
	args := slices.Concat(m.Args, []string{"-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot",
		"-L", p.Tools.Path("usr/share/qemu"), "-kernel", kernel, "-initrd", m.at("initramfs"), "-dtb", tree,
		"-append", "console=" + m.Console + ",115200 quiet panic=-1",
		"-qmp", "unix:" + m.at("qmp") + ",server=on,wait=off",
		"-qtest", "unix:" + m.at("qtest") + ",server=on,wait=off", "-qtest-log", "/dev/null",
		"-chardev", "stdio,id=console,signal=off", "-chardev", m.socket("reader")})
	if !m.virt() { // the header's UART, then the small one
		return append(args, "-serial", "chardev:reader", "-serial", "chardev:console"), nil
	}
	// The socket of a usb-serial is its cable: while nobody has it open, nothing is plugged in.
	return append(args, "-serial", "chardev:console", "-chardev", m.socket("other"), "-device", "qemu-xhci,romfile=",
		"-device", "usb-serial,chardev=reader,serial="+readerSerial, "-device", "usb-serial,chardev=other,serial=OTHER",
		"-device", "usb-kbd,serial="+keyboardSerial,
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="), nil
}

// socket is a device's other end, at which this host plays it.
func (m *Machine) socket(name string) string {
	return "socket,id=" + name + ",path=" + m.at(name) + ",server=on,wait=off"
}

// deviceTree makes what the kernel is told of the machine, which names the pins.
func (m *Machine) deviceTree(ctx context.Context, p Parts) (file string, err error) {
	file = m.at("tree")
	change := func(args ...string) {
		if err == nil {
			err = output(p.Tools.Command(ctx, "usr/bin/fdtput", args...))
		}
	}
	if m.virt() {
		dump := slices.Concat(m.Args, []string{"-M", "virt,dumpdtb=" + file, "-nodefaults", "-display", "none", "-L", p.Tools.Path("usr/share/qemu")})
		err = output(p.Tools.Command(ctx, "usr/bin/"+m.Emulator, dump...))
		change(append([]string{"-t", "s", file, "/pl061@9030000", "gpio-line-names"}, lineNames()...)...)
		return file, err
	}
	original, err := p.Kernel.One("usr/lib/linux-image-*/bcm2835-rpi-zero.dtb")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(original)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	change("-t", "s", file, "/soc/watchdog@7e100000", "status", "disabled") // QEMU has no power management, and the kernel would die of it
	change("-t", "s", file, "/soc/serial@7e215040", "status", "okay")       // the console, as the header's UART is the reader's
	return file, err
}

func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[len(cmd.Args)-1], err, out)
	}
	return nil
}

// launch starts QEMU and reads the console until it is gone.
func (m *Machine) launch(cmd *exec.Cmd) (err error) {
	if m.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in // what QEMU complains of stands in the console, too
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(m.ended)
		go func() { _ = cmd.Wait(); _ = in.Close() }()
		m.Log.Read(out)
	}()
	return nil
}

// connect reaches the machine's sockets and lets go of the button.
func (m *Machine) connect(ctx context.Context) (err error) {
	if m.Monitor, err = openMonitor(ctx, m.at("qmp"), m.ended); err != nil {
		return err
	}
	probe, err := openProbe(ctx, m.at("qtest"), m.ended)
	if err != nil {
		return err
	}
	if m.Pins = (piPins{probe}); m.virt() {
		chip, err := m.Monitor.find("pl061")
		if err != nil {
			return err
		}
		m.Pins = virtPins{probe, chip}
	}
	return m.Pins.Press(false)
}

// Close ends the machine.
func (m *Machine) Close() {
	m.stop()
	<-m.ended
}

// Tell writes a command for the guest.
func (m *Machine) Tell(command string) error {
	_, err := io.WriteString(m.in, command+"\n")
	return err
}

// Plug is the other end of a device's socket: a serial line, or what is plugged in.
func (m *Machine) Plug(ctx context.Context, name string) (net.Conn, error) {
	return dial(ctx, m.at(name), m.ended)
}

// Wait gives the first line of the console behind mark that f wants.
func (m *Machine) Wait(ctx context.Context, mark int, f func(bed.Line) bool) (bed.Line, error) {
	return m.Log.Wait(ctx, m.ended, mark, f)
}

// tail writes the last lines out.
func tail(lines []bed.Line, most int) string {
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-most):] {
		fmt.Fprintln(&b, l.Raw)
	}
	return b.String()
}
