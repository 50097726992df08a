package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestCollectsLikeTheAgent(t *testing.T) {
	text, err := os.ReadFile("../../agent/run.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("const collectAt = %d\n", collectAt); !strings.Contains(string(text), want) {
		t.Errorf("agent/run.go doesn't say %q", want)
	}
}
