// Command esc evaluates Pulumi ESC environments offline, with ESC's own evaluator. Each question is an environment's YAML; each answer has its
// values, with secrets in plain text, and the evaluator's errors.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/esc"
	"github.com/pulumi/esc/eval"
)

type question struct {
	YAML string `json:"yaml"`
}

type answer struct {
	Values   any      `json:"values"`
	Redacted any      `json:"redacted"`
	Problems []string `json:"problems"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)

	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fail(err)
		}

		if err := out.Encode(judge(asked.YAML)); err != nil {
			fail(err)
		}
	}

	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func judge(text string) answer {
	told := answer{Problems: []string{}}

	declared, diagnostics, err := eval.LoadYAMLBytes("environment", []byte(text))
	if err != nil {
		fail(err)
	}
	for _, found := range diagnostics {
		told.Problems = append(told.Problems, found.Error())
	}
	if diagnostics.HasErrors() {
		return told
	}

	around, err := esc.NewExecContext(nil)
	if err != nil {
		fail(err)
	}
	environment, found := eval.EvalEnvironment(context.Background(), "environment", declared, nil, nil, nil, around)
	for _, one := range found {
		told.Problems = append(told.Problems, one.Error())
	}
	if environment != nil {
		values := esc.NewValue(environment.Properties)
		told.Values = values.ToJSON(false)
		told.Redacted = values.ToJSON(true)
	}

	return told
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
