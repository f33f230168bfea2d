package machinery

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
)

// Run executes a command: "rules" writes the table, "merge" judges merges.
func Run(command string, in io.Reader, out io.Writer) error {
	switch command {
	case "rules":
		return json.NewEncoder(out).Encode(Rules(version()))
	case "merge":
		return Judge(in, out)
	default:
		return fmt.Errorf("unknown command %q", command)
	}
}

// version of the machinery in this build.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == "github.com/siderolabs/talos/pkg/machinery" {
			return dep.Version
		}
	}

	return ""
}
