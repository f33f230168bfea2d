// Command codegen is the part of Pulumi's language hosts that generates SDKs, for machines without language hosts. The code generators are Pulumi's own. It acts as the
// host of the language at the end of its name, as in `pulumi-language-go`.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	golang "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// version is set by the linker.
var version string

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("pulumi-language-codegen " + version)

		return
	}

	language := strings.TrimPrefix(filepath.Base(os.Args[0]), "pulumi-language-")
	if err := serve(language); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve serves the engine until the engine stops the process.
func serve(language string) error {
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(srv *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(srv, &host{language: language})

			return nil
		},
	})
	if err != nil {
		return err
	}

	fmt.Println(handle.Port)

	return <-handle.Done
}

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	language string
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

// Link does nothing: making the SDK a dependency needs the program's package manager, so that is left to the caller.
func (h *host) Link(context.Context, *pulumirpc.LinkRequest) (*pulumirpc.LinkResponse, error) {
	return &pulumirpc.LinkResponse{}, nil
}

// InstallDependencies installs nothing, for the same reason.
func (h *host) InstallDependencies(
	*pulumirpc.InstallDependenciesRequest, grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	return nil
}

func (h *host) GeneratePackage(
	_ context.Context, req *pulumirpc.GeneratePackageRequest,
) (*pulumirpc.GeneratePackageResponse, error) {
	loader, err := schema.NewLoaderClient(req.LoaderTarget)
	if err != nil {
		return nil, err
	}

	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(req.Schema), &spec); err != nil {
		return nil, err
	}

	pkg, diagnostics, err := schema.BindSpec(spec, loader, schema.ValidationOptions{})
	if err != nil {
		return nil, err
	}

	if diagnostics.HasErrors() {
		return nil, diagnostics
	}

	files, err := h.generate(pkg, req, schema.NewCachedLoader(loader))
	if err != nil {
		return nil, err
	}

	for name, content := range files {
		path := filepath.Join(req.Directory, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}

		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}

	return &pulumirpc.GeneratePackageResponse{}, nil
}

func (h *host) generate(
	pkg *schema.Package, req *pulumirpc.GeneratePackageRequest, loader schema.ReferenceLoader,
) (map[string][]byte, error) {
	const tool = "pulumi"

	switch h.language {
	case "go":
		return golang.GeneratePackage(tool, pkg, req.LocalDependencies)
	case "nodejs":
		return nodejs.GeneratePackage(tool, pkg, req.ExtraFiles, req.LocalDependencies, req.Local, loader)
	case "python":
		return python.GeneratePackage(tool, pkg, req.ExtraFiles, loader)
	default:
		return nil, fmt.Errorf("no SDKs are generated for %s", h.language)
	}
}
