// Command driver stands in for a CSI driver in tests, when the vendor's own binary is not available. It needs the same things from its container as the
// vendor's driver, and talks to the vendor's array through the vendor's API. Like busybox, its role depends on the name it is started with: the entry
// point of either image, the node's iscsiadm, or the kubelet that uses a volume.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// version is that of the CSI specification, set by the linker.
var version = "unknown" //nolint:gochecknoglobals

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("csi-driver " + version)

		return
	}

	var err error

	switch name := filepath.Base(os.Args[0]); name {
	case "jdss-csi-plugin":
		err = runJovianDSS(os.Args[1:])
	case "synology-csi-driver":
		err = runSynology(os.Args[1:])
	case "iscsiadm":
		os.Exit(runIscsiadm(os.Args[1:]))
	case "kubelet":
		err = runKubelet(os.Args[1:])
	default:
		err = fmt.Errorf("%s is none of jdss-csi-plugin, synology-csi-driver, iscsiadm and kubelet", name)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
