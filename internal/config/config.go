// Package config reads a process's configuration from the environment into one struct and reports all its faults
// together, so that an operator can correct a deployment in one go.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"holdfast/internal/telemetry"
)

// Validator is implemented by configurations with rules that tags cannot express. Load calls it for the configuration
// and for every struct within it, so that a Validate method checks only its own fields.
type Validator interface{ Validate() error }

// Load fills T from the environment by its `env` tags. The error lists every missing or malformed variable, in words
// for the person who starts the process.
//
// For each variable NAME, NAME_FILE may name a file whose content is the value, for secrets that a container gets as
// files. One line break at the end of the file does not belong to the value. To set both is an error.
func Load[T any]() (T, error) { return load[T](env.Options{}) }

// LoadFrom is Load with the given variables instead of the process's environment.
func LoadFrom[T any](vars map[string]string) (T, error) {
	return load[T](env.Options{Environment: vars})
}

func load[T any](opts env.Options) (T, error) {
	var cfg T
	if opts.Environment == nil {
		opts.Environment = env.ToMap(os.Environ())
	}
	var faults []variableFault
	opts.Environment, faults = readFiles(opts.Environment, variablesOf(reflect.TypeFor[T]()))
	unread := slices.Clone(faults) // a variable whose file cannot be read is not reported as missing too
	for _, f := range parseFaults(env.ParseWithOptions(&cfg, opts), reflect.TypeFor[T]()) {
		if !slices.ContainsFunc(unread, func(u variableFault) bool { return u.variable == f.variable }) {
			faults = append(faults, f)
		}
	}
	for _, fault := range validate(reflect.ValueOf(&cfg).Elem()) {
		told := func(f variableFault) bool { return f.variable != "" && strings.Contains(fault, f.variable) }
		if !slices.ContainsFunc(faults, told) {
			faults = append(faults, variableFault{text: fault})
		}
	}
	if len(faults) == 0 {
		return cfg, nil
	}

	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.text
	}
	return cfg, fmt.Errorf("configuration is not valid:\n  - %s\n"+
		"set these in the environment; .env.example lists every variable%s",
		strings.Join(texts, "\n  - "), developmentHint())
}

// readFiles returns the environment in which each variable that is given as a file has the file's content.
func readFiles(environment map[string]string, variables []string) (map[string]string, []variableFault) {
	out := maps.Clone(environment)
	var faults []variableFault
	for _, name := range variables {
		path := environment[name+fileSuffix]
		if path == "" {
			continue
		}
		if environment[name] != "" {
			faults = append(faults, variableFault{name, fmt.Sprintf("%s and %[1]s_FILE are both set; set one of them", name)})
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			faults = append(faults, variableFault{name, fmt.Sprintf("%s_FILE: %v", name, err)})
			continue
		}
		value := strings.TrimSuffix(string(raw), "\n")
		out[name] = strings.TrimSuffix(value, "\r")
	}
	return out, faults
}

// fileSuffix makes the name of the variable that names a file from the name of a variable.
const fileSuffix = "_FILE"

// variablesOf lists the variables that fill t and the structs within it.
func variablesOf(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		if tag := f.Tag.Get("env"); tag != "" {
			name, _, _ := strings.Cut(tag, ",")
			out = append(out, name)
		} else if f.Type.Kind() == reflect.Struct {
			out = append(out, variablesOf(f.Type)...)
		}
	}
	return out
}

// variableFault says what is wrong with a variable.
type variableFault struct{ variable, text string }

// parseFaults lists the variables that are missing, empty or malformed.
func parseFaults(err error, t reflect.Type) []variableFault {
	var all env.AggregateError
	if !errors.As(err, &all) {
		if err == nil {
			return nil
		}
		return []variableFault{{text: err.Error()}}
	}
	out := make([]variableFault, 0, len(all.Errors))
	for _, e := range all.Errors {
		var malformed env.ParseError
		var missing env.VarIsNotSetError
		var empty env.EmptyVarError
		switch {
		case errors.As(e, &malformed):
			name := variableOf(t, malformed.Name)
			out = append(out, variableFault{name, fmt.Sprintf("%s is not %s", name, wanted(malformed.Type, malformed.Err))})
		case errors.As(e, &missing):
			out = append(out, variableFault{missing.Key, missing.Key + " is not set"})
		case errors.As(e, &empty):
			out = append(out, variableFault{empty.Key, empty.Key + " is empty"})
		default:
			out = append(out, variableFault{text: e.Error()})
		}
	}
	return out
}

// variableOf is the variable that fills the field of the given name, in t or a struct within it.
func variableOf(t reflect.Type, field string) string {
	for i := range t.NumField() {
		f := t.Field(i)
		if tag, given := f.Tag.Lookup("env"); given && f.Name == field {
			name, _, _ := strings.Cut(tag, ",")
			return name
		}
		if f.Type.Kind() == reflect.Struct {
			if name := variableOf(f.Type, field); name != field {
				return name
			}
		}
	}
	return field
}

func wanted(t reflect.Type, err error) string {
	switch {
	case t == reflect.TypeFor[slog.Level]():
		return "debug, info, warn or error"
	case t == reflect.TypeFor[time.Duration]():
		return "a duration as in 90s or 15m"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	}
	return "valid: " + err.Error()
}

// validate lists what the Validators of v and of the structs within it find.
func validate(v reflect.Value) []string {
	var faults []string
	if own, ok := v.Addr().Interface().(Validator); ok {
		if err := own.Validate(); err != nil {
			faults = append(faults, strings.Split(err.Error(), "\n")...)
		}
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Struct || !v.Type().Field(i).IsExported() {
			continue
		}
		for _, fault := range validate(f) {
			if !slices.Contains(faults, fault) { // the outer struct has the Validate of a struct that it embeds
				faults = append(faults, fault)
			}
		}
	}
	return faults
}

// developmentHint tells a developer who runs `make up` where its configuration is.
func developmentHint() string {
	if _, err := os.Stat(".holdfast/env"); err != nil {
		return ""
	}
	return ", and those of `make up` come with: set -a; . .holdfast/env; set +a"
}

// Common is the configuration that every process reads besides its own.
type Common struct {
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	Trace    telemetry.TraceConfig
}
