// Package rules holds the rules of the layout: who may import whom, where each third-party module may appear, and what the
// device binary must never link.
package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "station-agent"

type pkg struct {
	ImportPath string
	Imports    []string
}

// list asks the go command about packages as they are built for one architecture, without tests.
func list(t *testing.T, arch string, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "GOARM=6", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// ours gives the path below the module, "" for foreign packages.
func ours(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	return rest
}

func isTest(path string) bool { return strings.HasSuffix(path, "test") }

// kin tells whether one of a and b lies right or farther below the other.
func kin(a, b string) bool { return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") }

// mayImport is the rule: from and to are paths below the module.
func mayImport(from, to string) bool {
	fromTree, _, _ := strings.Cut(from, "/")
	switch {
	case strings.HasPrefix(from, "build/"):
		return !strings.HasPrefix(to, "agent") // programs that run the agent from outside
	case isTest(to):
		return isTest(from)
	case from == "store/record":
		return false
	case to == "store/record":
		return true
	case to == "uplink/fleet/message": // the words of the fleet, for both sides of it
		return from == "agent" || from == "uplink/fleet" || kin(from, "uplink/fleet")
	case isTest(from):
		return strings.HasPrefix(to, fromTree+"/") || to == fromTree
	case fromTree == "agent":
		return true
	default: // store, station, uplink and below
		return kin(from, to)
	}
}

// leaves says where each third-party module may appear on the device, by the start of its import path.
func leaf(path string) string {
	for start, where := range map[string]string{
		"github.com/go-mysql-org/":  "uplink/capture/binlog",
		"github.com/go-sql-driver/": "uplink/mysql",
		"github.com/eclipse/paho":   "uplink/fleet",
		"github.com/gorilla/":       "uplink/fleet",
		"go.etcd.io/bbolt":          "store",
		"github.com/klauspost/":     "store",
		"periph.io/":                "station/gpio",
		"github.com/boombuler/":     "station/cards",
		"github.com/spf13/":         "agent",
		"github.com/pelletier/":     "agent",
	} {
		if strings.HasPrefix(path, start) {
			return where
		}
	}
	return "" // golang.org/x: anywhere
}

func TestImportRules(t *testing.T) {
	for _, p := range list(t, "amd64", "./...") {
		from := ours(p.ImportPath)
		for _, imported := range p.Imports {
			if to := ours(imported); to != "" && !mayImport(from, to) {
				t.Errorf("%s must not import %s", from, to)
			}
			first, _, _ := strings.Cut(imported, "/")
			foreign := strings.Contains(first, ".")
			if from == "store/record" && foreign {
				t.Errorf("%s must import the standard library only, not %s", from, imported)
			}
			if strings.HasPrefix(from, "build/") || isTest(from) || !foreign {
				continue
			}
			if where := leaf(imported); where != "" && where != from {
				t.Errorf("%s must not import %s: it belongs into %s", from, imported, where)
			} else if where == "" && !strings.HasPrefix(imported, "golang.org/x/") {
				t.Errorf("%s imports %s, for which no leaf is named in this test", from, imported)
			}
		}
	}
}

func TestMayImport(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"station", "store/record", true}, {"station", "store", false}, {"station", "uplink/mysql", false},
		{"uplink/assign", "uplink/mysql", false}, {"uplink/capture", "uplink/capture/binlog", true},
		{"uplink/capture/binlog", "uplink/capture", true}, {"store", "store/record", true}, {"store/record", "store", false},
		{"agent", "uplink/mysql", true}, {"agent", "uplink/uplinktest", false}, {"station", "station/stationtest", false},
		{"uplink/uplinktest", "uplink/certyo", true}, {"uplink/uplinktest", "station", false}, {"build/demo", "uplink/uplinktest", true},
		{"build/demo", "agent", false}, {"store", "uplink/fleet", false}, {"store", "uplink/fleet/message", false},
		{"uplink/fleet/command", "uplink/fleet/message", true}, {"uplink/deliver", "uplink/fleet/message", false},
		{"uplink/fleet/watch", "uplink/fleet/message", true}, {"uplink/fleet/watch", "uplink/fleet/metrics", false}, {"station", "uplink/fleet/message", false},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("mayImport(%s, %s) = %v", c.from, c.to, got)
		}
	}
}

// TestDeviceLinksNoTestPackage also holds that neither canal nor an SQL parser gets onto the card (11 MB).
func TestDeviceLinksNoTestPackage(t *testing.T) {
	for _, arch := range []string{"arm", "arm64", "amd64"} {
		t.Run(arch, func(t *testing.T) { deviceLinks(t, arch) })
	}
}

func deviceLinks(t *testing.T, arch string) {
	var linked []string
	for _, p := range list(t, arch, "-deps", "./agent") {
		linked = append(linked, p.ImportPath)
		own := ours(p.ImportPath)
		if own != "" && (isTest(own) || strings.HasPrefix(own, "build")) || p.ImportPath == "testing" {
			t.Errorf("the device binary links %s", p.ImportPath)
		}
	}
	for _, heavy := range []string{"github.com/go-mysql-org/go-mysql/canal", "github.com/pingcap/tidb/pkg/parser", "github.com/pingcap/tidb/pkg/parser/ast"} {
		if slices.Contains(linked, heavy) {
			t.Errorf("the device binary links %s", heavy)
		}
	}
	if !slices.Contains(linked, "github.com/go-mysql-org/go-mysql/replication") {
		t.Error("the list of linked packages lacks the binlog reader: this test looks at the wrong thing")
	}
}

func TestTopLevel(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files").Output()
	if err != nil && os.Getenv("REQUIRE_SERVERS") == "1" {
		t.Fatal("no git checkout to look at:", err)
	} else if err != nil {
		t.Skip("skipped: no git checkout to look at:", err)
	}
	allowed := strings.Fields("agent station store uplink firmware systemd build go.mod go.sum Makefile README.md LICENSE")
	for _, file := range strings.Fields(string(out)) {
		top, _, _ := strings.Cut(file, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s: the top level holds only %v", file, allowed)
		}
	}
}
