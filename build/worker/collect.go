package worker

import (
	"os"
	"runtime/debug"
)

// collectAt is the agent's (agent/run.go); a test holds the two together.
const collectAt = 42

// CollectLikeTheAgent has garbage collected as the agent does, unless GOGC says otherwise: a figure of memory or of time is of the
// agent's parts only under the agent's collector.
func CollectLikeTheAgent() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
