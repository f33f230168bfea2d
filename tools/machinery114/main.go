// Command machinery114 does what `talosctl gen config`, `machineconfig patch` and `validate --mode metal --strict` do,
// with the configuration machinery of Talos 1.14 (talosctl 1.14 cannot be built from what Go's module proxy serves). It
// reads one JSON object per line, {"role": "controlplane", "patches": ["…"]}, and answers each with the merged
// configuration, or with the reason for refusing it. With an argument, it works like tools/machinery113.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/generate"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/config/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"go.yaml.in/yaml/v4"

	"talos-iscsi.invalid/tools/machinery"
)

type question struct {
	Role    string   `json:"role"`
	Patches []string `json:"patches"`
	// What to generate the configuration from, instead of the fixed cluster: set all four or none.
	Secrets           string `json:"secrets"` // as `talosctl gen secrets` writes them
	ClusterName       string `json:"clusterName"`
	Endpoint          string `json:"endpoint"`
	KubernetesVersion string `json:"kubernetesVersion"`
}

type answer struct {
	Config   string   `json:"config,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// metal is a machine that Talos is installed on.
type metal struct{}

func (metal) String() string        { return "metal" }
func (metal) RequiresInstall() bool { return true }
func (metal) InContainer() bool     { return false }

func main() {
	work := run
	if len(os.Args) > 1 {
		work = func() error { return machinery.Run(os.Args[1], os.Stdin, os.Stdout) }
	}

	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	fixed, err := newInput("cluster", "https://127.10.0.10:6443", "1.36.1")
	if err != nil {
		return err
	}

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)

	out := json.NewEncoder(os.Stdout)

	for lines.Scan() {
		var q question

		if err = json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}

		a, err := answerTo(fixed, q)
		if err != nil {
			a.Error = err.Error()
		}

		if err = out.Encode(a); err != nil {
			return err
		}
	}

	return lines.Err()
}

func answerTo(input *generate.Input, q question) (answer, error) {
	if q.Secrets == "" {
		return reply(input, q)
	}

	bundle := &secrets.Bundle{Clock: secrets.NewClock()}

	if err := yaml.Unmarshal([]byte(q.Secrets), bundle); err != nil {
		return answer{}, err
	}

	// Like talosctl gen config and the Talos provider.
	input, err := newInput(q.ClusterName, q.Endpoint, q.KubernetesVersion,
		generate.WithSecretsBundle(bundle), generate.WithClusterDiscovery(true), generate.WithDNSDomain(constants.DefaultDNSDomain))
	if err != nil {
		return answer{}, err
	}

	return reply(input, q)
}

func newInput(name, endpoint, kubernetes string, options ...generate.Option) (*generate.Input, error) {
	return generate.NewInput(name, endpoint, kubernetes, append([]generate.Option{
		generate.WithVersionContract(&config.VersionContract{Major: 1, Minor: 14}),
		generate.WithInstallDisk("/dev/sda"),
		generate.WithInstallImage("factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.14.1"),
	}, options...)...)
}

func reply(input *generate.Input, q question) (answer, error) {
	role, err := machine.ParseType(q.Role)
	if err != nil {
		return answer{}, err
	}

	generated, err := input.Config(role)
	if err != nil {
		return answer{}, err
	}

	patches, err := configpatcher.LoadPatches(q.Patches)
	if err != nil {
		return answer{}, err
	}

	patched, err := configpatcher.Apply(configpatcher.WithConfig(generated), patches)
	if err != nil {
		return answer{}, err
	}

	merged, err := patched.Config()
	if err != nil {
		return answer{}, err
	}

	text, err := merged.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return answer{}, err
	}

	a := answer{Config: string(text)}

	a.Warnings, err = merged.ValidateAsClient(metal{}, validation.WithLocal(), validation.WithStrict())
	if err == nil && len(a.Warnings) > 0 {
		err = errors.New("strict: warnings are errors")
	}

	return a, err
}
