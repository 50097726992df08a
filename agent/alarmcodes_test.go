package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/uplink/capture"
)

// TestEveryConditionHasACode reads the code of the agent for what it registers at the board.
func TestEveryConditionHasACode(t *testing.T) {
	names := registered(t)
	for _, name := range names {
		if alarmKindOf(name) == unlisted {
			t.Errorf("condition %q has no kind: add it to alarmKinds", name)
		}
	}
	if len(names) < 30 {
		t.Errorf("only %d conditions found: this test looks at the wrong thing: %q", len(names), names)
	}
	for _, want := range []string{"mysql", "reader ", "capture of ", "binary log", outputThing, "button "} {
		if !strings.Contains(strings.Join(names, "\n")+"\n", want) {
			t.Errorf("%q is not found: this test looks at the wrong thing", want)
		}
	}
}

// registered gives the names, or how they begin, that are given to board.condition, once and besides.
func registered(t *testing.T) (names []string) {
	t.Helper()
	paths, _ := filepath.Glob("*.go") // the pattern is sound
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil && (fn.Name.Name == "besides" || fn.Name.Name == "once") {
				continue // they pass a name on
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 1 {
					return true
				}
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "condition" || sel.Sel.Name == "once" || sel.Sel.Name == "besides") {
					found := beginnings(fn, call.Args[0])
					if len(found) == 0 {
						t.Errorf("in %s a condition is registered whose name can't be read here: write it so that it begins with a text", fn.Name.Name)
					}
					names = append(names, found...)
				}
				return true
			})
		}
	}
	return names
}

// beginnings gives the texts with which an expression may begin.
func beginnings(fn *ast.FuncDecl, e ast.Expr) (texts []string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return []string{text}
		}
	case *ast.BinaryExpr:
		return beginnings(fn, e.X)
	case *ast.CallExpr: // fmt.Sprintf
		if len(e.Args) > 0 {
			for _, text := range beginnings(fn, e.Args[0]) {
				texts = append(texts, regexp.MustCompile("%.*").ReplaceAllString(text, ""))
			}
			return texts
		}
	case *ast.Ident:
		if e.Name == "outputThing" {
			return []string{outputThing}
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || len(a.Lhs) != 1 {
				return true
			}
			if to, ok := a.Lhs[0].(*ast.Ident); ok && to.Name == e.Name {
				for _, text := range beginnings(fn, a.Rhs[0]) {
					if a.Tok == token.ADD_ASSIGN {
						text = texts[0] + text
					}
					texts = append(texts, text)
				}
			}
			return true
		})
	}
	return texts
}

func TestCodesAreStableWordsWithHints(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]alarmKind{}
	for _, k := range alarmKinds {
		if !word.MatchString(k.code) || k.severity == "" || !strings.HasSuffix(k.hint, ".") || k.name == "" {
			t.Errorf("%+v", k)
		}
		if o, ok := seen[k.code]; ok && !strings.HasPrefix(k.name, strings.TrimSpace(o.name)) && !strings.HasPrefix(o.name, k.name) {
			t.Errorf("%s and %s have the same code", o.name, k.name)
		}
		seen[k.code] = k
	}
	for name, code := range map[string]string{
		"capture": "capture_standing", "capture of shop.orders": "capture_standing", "binary log of shop.orders": "binlog_purge_near",
		"reader mat of 2": "reader_lost", "store": "card_failing", "map of tags": "tag_map_unread", "way of capture": "capture_way_undecided",
		"button mute at GPIO5": "button_lost", "output green": "output_lost", "of nothing": "other", "readers": "other",
	} {
		if got := alarmKindOf(name).code; got != code {
			t.Errorf("%s: %s, want %s", name, got, code)
		}
	}
}

type soon struct {
	error
	left time.Duration
}

func (s soon) Left() time.Duration { return s.left }

func TestAProblemSaysCodeHintAndTheTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(slog.New(slog.DiscardHandler))
		c := b.condition("binary log")
		if b.well("binary log") {
			t.Error("well before anybody knows")
		}
		c.Lost(fmt.Errorf("look: %w", soon{errors.New("it goes"), time.Hour}))
		time.Sleep(time.Minute)
		p := b.problems()[0]
		if p.Code != "binlog_purge_near" || p.Severity != "critical" || p.Hint == "" || p.LeftS == nil || *p.LeftS != 59*60 {
			t.Errorf("%+v", p)
		}
		time.Sleep(2 * time.Hour)
		if p := b.problems()[0]; *p.LeftS != 0 {
			t.Errorf("less than nothing is left: %v", *p.LeftS)
		}
		c.Lost(errors.New("it is only away"))
		if p := b.problems()[0]; p.LeftS != nil || p.Count != 2 {
			t.Errorf("%+v", p)
		}
		c.Back()
		if !b.well("binary log") || b.well("nothing") {
			t.Error("well")
		}
	})
}

// The time that capture tells must reach the board.
func TestThePurgeOfALogKnowsItsTime(t *testing.T) {
	var _ lasting = capture.Danger{}
}
