package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type pool struct {
	Size int `env:"POOL_SIZE" envDefault:"20"`
}

func (p *pool) Validate() error {
	if p.Size < 1 {
		return errors.New("POOL_SIZE is at least 1")
	}
	return nil
}

type secret struct {
	Value string `env:"SECRET,required,notEmpty"`
}

func (s secret) Validate() error {
	if len(s.Value) < 8 {
		return errors.New("SECRET has at least 8 bytes")
	}
	return nil
}

type process struct {
	Timeout time.Duration `env:"TIMEOUT" envDefault:"5s"`
	Verbose bool          `env:"VERBOSE"`
	Pool    pool
	Auth    struct{ Secret secret }
}

// TestFaultsAreToldTogether: the error names every faulty variable at once, also those of structs within, so that an
// operator can correct a deployment in one go.
func TestFaultsAreToldTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		vars map[string]string
		want []string
	}{
		{"nothing is wrong", map[string]string{"SECRET": "long enough"}, nil},
		{"missing", map[string]string{}, []string{"SECRET is not set"}},
		{"empty", map[string]string{"SECRET": ""}, []string{"SECRET is empty"}},
		{
			"a rule of a struct within",
			map[string]string{"SECRET": "short", "POOL_SIZE": "0"},
			[]string{"POOL_SIZE is at least 1", "SECRET has at least 8 bytes"},
		},
		{
			"everything",
			map[string]string{
				"POOL_SIZE": "many",
				"TIMEOUT":   "5",
				"VERBOSE":   "loud",
				"LOG_LEVEL": "whisper",
				"SECRET":    "short",
			},
			[]string{
				"POOL_SIZE is not a whole number",
				"TIMEOUT is not a duration as in 90s or 15m",
				"VERBOSE is not true or false",
				"LOG_LEVEL is not debug, info, warn or error",
				"SECRET has at least 8 bytes",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadFrom[struct {
				Common
				Process process
			}](c.vars)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, ".env.example lists every variable")
			for _, fault := range c.want {
				require.ErrorContains(t, err, "  - "+fault)
			}
			require.Equal(t, len(c.want), strings.Count(err.Error(), "  - "), err.Error())
		})
	}
}

func TestValuesAndDefaults(t *testing.T) {
	t.Parallel()
	got, err := LoadFrom[process](map[string]string{"SECRET": "long enough", "TIMEOUT": "90s"})
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, got.Timeout)
	require.Equal(t, 20, got.Pool.Size)
	require.Equal(t, "long enough", got.Auth.Secret.Value)
}
