package machinery

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"github.com/siderolabs/talos/pkg/machinery/config/validation"
)

// Question is a configuration, patches for it, and the result of another merge; no result if that merge refused.
type Question struct {
	Base    string   `json:"base"`
	Patches []string `json:"patches"`
	Ours    *string  `json:"ours"`
}

// Answer has both results as written by the machinery.
type Answer struct {
	// Theirs is Talos's result.
	Theirs string `json:"theirs,omitempty"`
	// Refused is why there is no result, and Phase where it failed: base, load (of a patch), merge, or result (the result does not load).
	Refused string `json:"refused,omitempty"`
	Phase   string `json:"phase,omitempty"`
	// Ours is the other merge's result after Talos has read it; OursRefused is why Talos cannot read it.
	Ours        string `json:"ours,omitempty"`
	OursRefused string `json:"oursRefused,omitempty"`
	// Valid and OursValid report whether a machine accepts the results.
	Valid     bool   `json:"valid"`
	OursValid bool   `json:"oursValid"`
	Invalid   string `json:"invalid,omitempty"`
}

// metal is a machine that Talos is installed on.
type metal struct{}

func (metal) String() string        { return "metal" }
func (metal) RequiresInstall() bool { return true }
func (metal) InContainer() bool     { return false }

// Judge answers questions, one per line, until the input ends.
func Judge(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)

	encoder := json.NewEncoder(out)

	for lines.Scan() {
		var q Question

		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}

		if err := encoder.Encode(answer(q)); err != nil {
			return err
		}
	}

	return lines.Err()
}

func answer(q Question) (a Answer) {
	a.theirs(q)

	if q.Ours != nil {
		text, provider, err := normalized(*q.Ours)
		if err != nil {
			a.OursRefused = err.Error()
		} else {
			a.Ours = text
			invalid := validate(provider)
			a.OursValid = invalid == nil

			if invalid != nil {
				a.Invalid = invalid.Error()
			}
		}
	}

	return a
}

func (a *Answer) theirs(q Question) {
	// Some patches make talosctl panic.
	defer func() {
		if r := recover(); r != nil {
			a.Refused = fmt.Sprintf("panic: %v", r)
		}
	}()

	a.Phase = "base"

	if _, err := configloader.NewFromBytes([]byte(q.Base)); err != nil {
		a.Refused = err.Error()

		return
	}

	a.Phase = "load"

	patches, err := configpatcher.LoadPatches(q.Patches)
	if err != nil {
		a.Refused = err.Error()

		return
	}

	a.Phase = "merge"

	var text []byte

	merged, err := configpatcher.Apply(configpatcher.WithBytes([]byte(q.Base)), patches)
	if err == nil {
		text, err = merged.Bytes()
	}

	if err != nil {
		a.Refused = err.Error()

		// The result of a JSON patch is not a configuration, or its documents conflict.
		if strings.Contains(a.Refused, "error decoding document") || strings.HasPrefix(a.Refused, "conflicting ") {
			a.Phase = "result"
		}

		return
	}

	a.Phase = "result"

	result, provider, err := normalized(string(text))
	if err != nil {
		a.Refused = err.Error()

		return
	}

	a.Phase = ""
	a.Theirs = result
	a.Valid = validate(provider) == nil
}

// normalized reads a configuration and returns it as the machinery writes it.
func normalized(text string) (result string, provider config.Provider, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()

	if provider, err = configloader.NewFromBytes([]byte(text)); err != nil {
		return "", nil, err
	}

	bytes, err := provider.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))

	return string(bytes), provider, err
}

func validate(provider config.Provider) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()

	if client, ok := provider.(interface {
		ValidateAsClient(validation.RuntimeMode, ...validation.Option) ([]string, error)
	}); ok {
		_, err = client.ValidateAsClient(metal{}, validation.WithLocal())
	} else {
		_, err = provider.Validate(metal{}, validation.WithLocal())
	}

	return err
}
