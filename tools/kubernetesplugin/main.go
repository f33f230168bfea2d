// Command kubernetesplugin is Pulumi's Kubernetes provider, built from its module. The published plugin also embeds a schema and a map of
// Terraform resources, which only code generation and `pulumi convert` read. We added `--version`; the engine only passes its address.
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

const schema = `{"name":"kubernetes","resources":{},"types":{},"functions":{}}`

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("pulumi-kubernetes " + version.Version)

		return
	}

	provider.Serve("kubernetes", version.Version, []byte(schema), nil)
}
