package protocheck_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	_ "github.com/cosi-project/runtime/api/v1alpha1"
	_ "github.com/siderolabs/talos/pkg/machinery/api/cluster"
	_ "github.com/siderolabs/talos/pkg/machinery/api/common"
	_ "github.com/siderolabs/talos/pkg/machinery/api/machine"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"talos-iscsi.invalid/tools/protocheck"
)

const folder = "../../talos/api"

func compile(t *testing.T, resolver protocompile.Resolver, files ...string) []protoreflect.FileDescriptor {
	t.Helper()

	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(resolver),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}

	compiled, err := compiler.Compile(context.Background(), files...)
	if err != nil {
		t.Fatal(err)
	}

	result := make([]protoreflect.FileDescriptor, 0, len(compiled))
	for _, file := range compiled {
		result = append(result, file)
	}

	return result
}

func TestOurFilesMatchTheRealAPI(t *testing.T) {
	var files []string

	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".proto" {
			files = append(files, path)
		}

		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	services := 0

	for _, file := range compile(t, &protocompile.SourceResolver{ImportPaths: []string{folder}}, files...) {
		services += file.Services().Len()

		for _, difference := range protocheck.Compare(file, protoregistry.GlobalFiles) {
			t.Error(difference)
		}
	}

	if services == 0 {
		t.Errorf("no service in %s/*.proto: the files are not where this test looks for them", folder)
	}
}

// Tests the comparison itself: each of these lines is wrong in one way, and each must be reported.
func TestEveryKindOfDifferenceIsReported(t *testing.T) {
	cases := map[string]struct{ source, report string }{
		"unknown message": {
			`message NoSuchThing {}`,
			"machine.NoSuchThing: the real API has no such message",
		},
		"unknown field": {
			`message BootstrapRequest { bool hurry = 1; }`,
			"machine.BootstrapRequest.hurry: the real message has no such field; it has recover_etcd",
		},
		"number": {
			`message BootstrapRequest { bool recover_etcd = 7; }`,
			"machine.BootstrapRequest.recover_etcd: its number is 7, in the real API it is 1",
		},
		"scalar type": {
			`message BootstrapRequest { string recover_etcd = 1; }`,
			"recover_etcd: its type is string, in the real API it is bool",
		},
		"bytes for a string": {
			`message ReadRequest { bytes path = 1; }`,
			"machine.ReadRequest.path: its type is bytes, in the real API it is string",
		},
		"message type": {
			`message BootstrapResponse { repeated Wrong messages = 1; } message Wrong {}`,
			"messages: its type is machine.Wrong, in the real API it is machine.Bootstrap",
		},
		"label": {
			`message BootstrapRequest { repeated bool recover_etcd = 1; }`,
			"recover_etcd: its label is repeated, in the real API it is none",
		},
		"optional": {
			`message BootstrapRequest { optional bool recover_etcd = 1; }`,
			"recover_etcd: its label is optional, in the real API it is none",
		},
		"oneof": {
			`message BootstrapRequest { oneof how { bool recover_etcd = 1; } }`,
			"recover_etcd: its oneof is how, in the real API it is none",
		},
		"JSON name": {
			`message BootstrapRequest { bool recover_etcd = 1 [json_name = "recover"]; }`,
			"recover_etcd: its JSON name is recover, in the real API it is recoverEtcd",
		},
		"unknown enum value": {
			`message ApplyConfigurationRequest { enum Mode { SOMETIME = 0; } }`,
			"machine.ApplyConfigurationRequest.SOMETIME: the real enum has no such value; it has REBOOT",
		},
		"number of an enum value": {
			`message ApplyConfigurationRequest { enum Mode { REBOOT = 0; AUTO = 9; } }`,
			"AUTO: its number is 9, in the real API it is 1",
		},
		"unknown service": {
			`service NoSuchService {}`,
			"machine.NoSuchService: the real API has no such service",
		},
		"unknown method": {
			`service MachineService { rpc Explode(ReadRequest) returns (ReadRequest); } message ReadRequest {}`,
			"machine.MachineService.Explode: the real service has no such method",
		},
		"request of a method": {
			`service MachineService { rpc Bootstrap(ReadRequest) returns (BootstrapResponse); }
			message ReadRequest {} message BootstrapResponse {}`,
			"Bootstrap: its request is machine.ReadRequest, in the real API it is machine.BootstrapRequest",
		},
		"response of a method": {
			`service MachineService { rpc Bootstrap(BootstrapRequest) returns (ReadRequest); }
			message ReadRequest {} message BootstrapRequest {}`,
			"Bootstrap: its response is machine.ReadRequest, in the real API it is machine.BootstrapResponse",
		},
		"streaming": {
			`service MachineService { rpc Bootstrap(BootstrapRequest) returns (stream BootstrapResponse); }
			message BootstrapRequest {} message BootstrapResponse {}`,
			"Bootstrap: streaming of responses is true, in the real API it is false",
		},
		"kind of declaration": {
			`enum BootstrapRequest { NONE = 0; }`,
			"machine.BootstrapRequest: is of kind enum here, of another kind in the real API",
		},
	}

	for name, wrong := range cases {
		t.Run(name, func(t *testing.T) {
			source := "syntax = \"proto3\";\npackage machine;\n" + wrong.source
			resolver := &protocompile.SourceResolver{
				Accessor: protocompile.SourceAccessorFromMap(map[string]string{"wrong.proto": source}),
			}

			report := strings.Join(protocheck.Compare(compile(t, resolver, "wrong.proto")[0], protoregistry.GlobalFiles), "\n")
			if !strings.HasPrefix(report, "wrong.proto:3: ") || !strings.Contains(report, wrong.report) {
				t.Errorf("not reported:\n  %s\nbut:\n  %s", wrong.report, report)
			}
		})
	}
}
