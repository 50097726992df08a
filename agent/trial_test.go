package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trialed is a place to which the fleet sends configurations.
type trialed struct {
	*place
	now *trials
	ops int // of files
	die int // at which of them the plug is pulled, 0: at none
}

var errPlug = errors.New("the plug was pulled")

func newTrialed(t *testing.T) *trialed {
	p := &trialed{place: newPlace(t)}
	p.boot()
	return p
}

// boot is the next start: it gives the name that the station has then.
func (p *trialed) boot() string {
	p.t.Helper()
	if p.now != nil {
		p.now.close()
	}
	card, data, err := loadFile(p.file)
	if err != nil {
		p.t.Fatal(err)
	}
	p.now = newTrials(p.file, card, data)
	replace, remove := p.now.replace, p.now.remove
	p.now.replace = func(path string, b []byte) error {
		if p.ops++; p.die > 0 && p.ops >= p.die {
			_ = os.WriteFile(path+".tmp", b[:len(b)/2], 0o600) // the folder may be missing
			return errPlug
		}
		return replace(path, b)
	}
	p.now.remove = func(path string) error {
		if p.ops++; p.die > 0 && p.ops >= p.die {
			return errPlug
		}
		return remove(path)
	}
	return p.now.choose(card).Station.Name
}

// text is the configuration with another name of the station.
func (p *trialed) text(name string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(p.file)
	if err != nil {
		p.t.Fatal(err)
	}
	return []byte(strings.Replace(string(b), `name = "Line 2, bench 4"`, `name = "`+name+`"`, 1))
}

func (p *trialed) put(name string) string {
	p.t.Helper()
	sum, err := p.now.put(p.text(name), time.Minute, "nonce-0123456789")
	if err != nil {
		p.t.Fatal(err)
	}
	return sum
}

func (p *trialed) wants(what, got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: the station is called %q, want %q; notes: %q", what, got, want, p.now.notes)
	}
}

const former = "Line 2, bench 4"

func TestAConfigurationThatIsConfirmedStays(t *testing.T) {
	p := newTrialed(t)
	sum := p.put("new")
	p.wants("the trial", p.boot(), "new")
	if err := p.now.confirm("0123"); err == nil {
		t.Error("another digest was confirmed")
	}
	if err := p.now.confirm(sum); err != nil {
		t.Fatal(err)
	}
	p.wants("confirmed", p.boot(), "new")
	if c, err := loadConfig(p.file); err != nil || c.Station.Name != "new" {
		t.Errorf("the command line knows %q: %v", c.Station.Name, err)
	}
	if _, said, code := command(t, "config", "check", "--config", p.file); code != 0 || !strings.Contains(said, "the fleet sent another configuration") {
		t.Errorf("config check: %d %s", code, said)
	}
	sum = p.put("newer")
	p.wants("another trial", p.boot(), "newer")
	p.wants("which ended before it was confirmed", p.boot(), "new")
	if err := p.now.confirm(sum); err == nil {
		t.Error("confirmed when it was over")
	}
}

func TestATrialThatEndsIsOver(t *testing.T) {
	p := newTrialed(t)
	p.put("new")
	p.wants("the trial", p.boot(), "new")
	p.wants("after a crash", p.boot(), former)
	if late := readLate(p.now.dir); len(late) != 1 || late[0].Nonce != "nonce-0123456789" || !strings.Contains(late[0].Text, "ended before it was confirmed") {
		t.Errorf("the next start tells %+v", late)
	}
	p.wants("and later", p.boot(), former)
	if files, _ := filepath.Glob(filepath.Join(p.now.dir, "config-*")); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
}

func TestATrialThatNobodyConfirmsGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTrialed(t)
		p.put("new")
		p.boot()
		again := ""
		p.now.watch(t.Context(), time.Minute, func(why string) { again = why })
		if again == "" {
			t.Error("the agent goes on with it")
		}
		p.wants("after its time", p.boot(), former)
	})
}

func TestATrialThatIsConfirmedIsNotEnded(t *testing.T) {
	p := newTrialed(t)
	sum := p.put("new")
	p.boot()
	if err := p.now.confirm(sum); err != nil {
		t.Fatal(err)
	}
	p.now.watch(t.Context(), time.Minute, func(string) { t.Error("it starts again") })
	p.wants("confirmed", p.boot(), "new")
}

func TestWhoEditsTheFileHasTheLastWord(t *testing.T) {
	p := newTrialed(t)
	sum := p.put("new")
	p.boot()
	if err := p.now.confirm(sum); err != nil {
		t.Fatal(err)
	}
	write(t, p.file, string(p.text("by hand")))
	p.wants("edited", p.boot(), "by hand")
	if !strings.Contains(strings.Join(p.now.notes, "\n"), "the file was changed") {
		t.Errorf("the log doesn't say so: %q", p.now.notes)
	}
	p.wants("and later", p.boot(), "by hand")
}

func TestAConfigurationIsCheckedBeforeItIsTried(t *testing.T) {
	p := newTrialed(t)
	good := string(p.text("new"))
	for what, c := range map[string]struct{ old, new, want string }{
		"a field that isn't there": {"[log]", "[log]\nlevle = \"info\"", "levle"},
		"no TOML":                  {"[log]", "[log", "configuration:"},
		"another station":          {"7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11", "1b0a7c3d-52c8-4f6e-8d3b-0c9d5d1e2f33", "station.uuid"},
		"another environment":      {`environment = "test"`, `environment = "production"`, "environment"},
		"another store":            {p.cfg.Store.Folder, p.cfg.Store.Folder + "2", "store.folder"},
		"another database":         {"db.example.com:3306", "db.example.org:3306", "mysql.address"},
		"a secret":                 {"/etc/station-agent/certyo-key", "certyo_sk_secret", "certyo.key_file"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatal(what)
		}
		_, err := p.now.put([]byte(text), time.Minute, "nonce-0123456789")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "certyo_sk_secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(p.now.dir); err == nil {
		t.Error("what was refused was written")
	}
	p.put("new")
	if _, err := p.now.put([]byte(good), time.Minute, "nonce-0123456789"); err == nil {
		t.Error("a second one beside the trial")
	}
}

func TestATextThatIsDamagedIsNotUsed(t *testing.T) {
	p := newTrialed(t)
	sum := p.put("new")
	p.boot()
	if err := p.now.confirm(sum); err != nil {
		t.Fatal(err)
	}
	write(t, p.now.textFile(sum), string(p.text("damaged")))
	p.wants("damaged", p.boot(), former)
	write(t, p.now.stateFile(), `{"over":`)
	p.wants("which one counts can't be read", p.boot(), former)
}

// The plug is pulled at each operation on a file, half of what was to be written lying there: each later start has one of the two
// configurations, whole, and a trial never begins twice.
func TestAPulledPlugLeavesOneOfTheTwo(t *testing.T) {
	for confirms := range 2 {
		for die := 1; ; die++ {
			p := newTrialed(t)
			p.ops, p.die = 0, die
			sum, err := p.now.put(p.text("new"), time.Minute, "nonce-0123456789")
			name, trials := former, 0
			if err == nil {
				if name = p.boot(); name == "new" {
					trials++
				}
				if confirms == 1 && name == "new" {
					err = p.now.confirm(sum)
				}
			}
			confirmed := confirms == 1 && name == "new" && err == nil
			died := p.ops >= die
			p.die = 0
			for range 3 {
				was := name
				name = p.boot()
				if name == "new" && p.now.onTrial() != nil {
					trials++
				}
				if name != "new" && name != former || confirmed && name != "new" || was == former && confirms == 1 && trials > 1 {
					t.Errorf("plug pulled at operation %d, confirmed %v: %q after %q", die, confirmed, name, was)
				}
			}
			if trials > 1 || !confirmed && confirms == 0 && name != former {
				t.Errorf("plug pulled at operation %d: %d trials, at last %q", die, trials, name)
			}
			p.now.close()
			if !died {
				break
			}
		}
	}
}

// An agent whose configuration on trial can't be put together starts again with the former one.
func TestATrialThatDoesNotComeUpGoesBack(t *testing.T) {
	p := newTrialed(t)
	st := p.open() // made for this station, and closed: the trial opens it
	st.Close()
	p.put("new")
	p.now.close()
	write(t, filepath.Join(p.cfg.Store.Folder, "store.json"), `{"format":99}`)
	var log strings.Builder
	err := runFile(context.Background(), p.file, &log)
	if !errors.Is(err, errAgain) {
		t.Errorf("%v\n%s", err, log.String())
	}
	p.wants("then", p.boot(), former)
	if late := readLate(p.now.dir); len(late) != 1 || !strings.Contains(late[0].Text, "format 99") {
		t.Errorf("the next start tells %+v", late)
	}
}
