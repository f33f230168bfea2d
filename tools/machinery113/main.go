// Command machinery113 gets the merge rules from the configuration machinery of Talos 1.13 (`rules`), or uses it to judge merges (`merge`): one JSON
// question per line on stdin, one answer per line on stdout.
package main

import (
	"fmt"
	"os"

	"talos-iscsi.invalid/tools/machinery"
)

func main() {
	if err := machinery.Run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
