package gpio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes files of a pretended sysfs.
func tree(t *testing.T, files map[string]string) Host {
	t.Helper()
	sys := t.TempDir()
	for name, text := range files {
		file := filepath.Join(sys, "class", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Sys: sys}
}

// has reads a file as the kernel would: what was written last counts, whatever stood there.
func (h Host) has(t *testing.T, name, want string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Sys, "class", name))
	if err != nil || !strings.HasPrefix(string(b), want) {
		t.Errorf("%s holds %q, not %q: %v", name, b, want, err)
	}
}

func TestAnLEDOfTheKernel(t *testing.T) {
	h := tree(t, map[string]string{"leds/green/brightness": "9", "leds/green/max_brightness": "255\n", "leds/green/trigger": "heartbeat"})
	o, err := h.Output("led:green", false)
	if err != nil {
		t.Fatal(err)
	}
	h.has(t, "leds/green/trigger", "none") // else the kernel blinks along
	h.has(t, "leds/green/brightness", "0")
	if err := o.Set(1); err != nil {
		t.Error(err)
	}
	h.has(t, "leds/green/brightness", "255")
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	h.has(t, "leds/green/brightness", "0")
	if _, err := h.Output("led:red", false); err == nil || !strings.Contains(err.Error(), "led:red") || !strings.Contains(err.Error(), "gpio-led") {
		t.Errorf("an LED that is not there: %v", err)
	}
}

func TestAPassiveBuzzerSoundsAtItsPitch(t *testing.T) {
	h := tree(t, map[string]string{"pwm/pwmchip0/pwm1/period": "", "pwm/pwmchip0/pwm1/duty_cycle": "", "pwm/pwmchip0/pwm1/enable": "", "pwm/pwmchip0/export": ""})
	o, err := h.Output("pwm:1", false)
	if err != nil {
		t.Fatal(err)
	}
	h.has(t, "pwm/pwmchip0/pwm1/enable", "0")
	if err := o.Set(500); err != nil {
		t.Error(err)
	}
	h.has(t, "pwm/pwmchip0/pwm1/period", "2000000") // ns
	h.has(t, "pwm/pwmchip0/pwm1/duty_cycle", "1000000")
	h.has(t, "pwm/pwmchip0/pwm1/enable", "1")
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	h.has(t, "pwm/pwmchip0/pwm1/enable", "0")
}

func TestAPWMChipIsFoundByItsDevice(t *testing.T) {
	h := tree(t, map[string]string{"pwm/pwmchip0/pwm0/duty_cycle": "", "pwm/pwmchip0/pwm0/enable": "", "pwm/pwmchip3/pwm0/duty_cycle": "", "pwm/pwmchip3/pwm0/enable": "", "pwm/pwmchip3/export": ""})
	for n, device := range map[string]string{"pwmchip0": "fan", "pwmchip3": "1f00098000.pwm"} {
		if err := os.Symlink("../../devices/"+device, filepath.Join(h.Sys, "class/pwm", n, "device")); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pwm:1f00098000.pwm:0", "pwm:pwmchip3:0"} {
		p, _ := parse(name)
		if got, err := openPWM(h.Sys, p); err != nil || !strings.HasSuffix(got.folder, "pwmchip3/pwm0") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"pwm:0", "pwm:other:0"} {
		if _, err := h.Output(name, false); err == nil || !strings.Contains(err.Error(), "pwmchip3 (1f00098000.pwm)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Output("pwm:pwmchip3:7", false); err == nil { // the kernel did not make it
		t.Error("a channel that is not there was opened")
	}
	h.has(t, "pwm/pwmchip3/export", "7")
}
