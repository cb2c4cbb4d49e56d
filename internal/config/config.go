// Package config reads a process's configuration from the environment into one struct and reports
// every fault of it together, so that a wrong deployment is mended in one go.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Validator is implemented by configurations with rules that tags cannot say.
type Validator interface{ Validate() error }

// Load fills T from the environment by its `env` tags. The error lists every missing or malformed
// variable; it is meant to be shown to the person who started the process.
func Load[T any]() (T, error) { return load[T](env.Options{}) }

// LoadFrom is Load with the given variables instead of the process's environment.
func LoadFrom[T any](vars map[string]string) (T, error) {
	return load[T](env.Options{Environment: vars})
}

func load[T any](opts env.Options) (T, error) {
	var cfg T
	faults := []string{}
	err := env.ParseWithOptions(&cfg, opts)
	var all env.AggregateError
	switch {
	case errors.As(err, &all):
		for _, e := range all.Errors {
			faults = append(faults, e.Error())
		}
	case err != nil:
		faults = append(faults, err.Error())
	}
	if v, ok := any(&cfg).(Validator); ok && err == nil {
		if verr := v.Validate(); verr != nil {
			faults = append(faults, strings.Split(verr.Error(), "\n")...)
		}
	}
	if len(faults) > 0 {
		return cfg, fmt.Errorf("configuration is not valid:\n  - %s\nset these in the environment; .env.example lists every variable%s", strings.Join(faults, "\n  - "), developmentHint())
	}
	return cfg, nil
}

// developmentHint tells who works beside `make up` where its configuration is.
func developmentHint() string {
	if _, err := os.Stat(".holdfast/env"); err != nil {
		return ""
	}
	return ", and those of `make up` come with: set -a; . .holdfast/env; set +a"
}

// Common is what every process reads beside its own configuration.
type Common struct {
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
}
