// Command machinery113 asks the configuration machinery of Talos 1.13 for its merge rules (`rules`), or to judge merges (`merge`): a question in JSON
// a line on standard input, an answer a line on standard output.
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
