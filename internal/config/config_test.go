package config

import (
	"errors"
	"os"
	"path/filepath"
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

// TestValuesFromFiles: a variable may name a file with its value, and every fault of such a file is named.
func TestValuesFromFiles(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "value")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, c := range []struct{ content, want string }{
		{"long enough", "long enough"},
		{"long enough\n", "long enough"},
		{"long enough\r\n", "long enough"},
		{" two lines\n\n", " two lines\n"},
	} {
		got, err := LoadFrom[process](map[string]string{"SECRET_FILE": file(c.content), "POOL_SIZE_FILE": file("7")})
		require.NoError(t, err)
		require.Equal(t, c.want, got.Auth.Secret.Value)
		require.Equal(t, 7, got.Pool.Size)
	}

	got, err := LoadFrom[process](map[string]string{"SECRET": "long enough", "SECRET_FILE": ""})
	require.NoError(t, err, "an empty NAME_FILE is not set")
	require.Equal(t, "long enough", got.Auth.Secret.Value)

	for _, c := range []struct {
		name string
		vars map[string]string
		want string
	}{
		{
			"both",
			map[string]string{"SECRET": "long enough", "SECRET_FILE": file("long enough")},
			"SECRET and SECRET_FILE are both set; set one of them",
		},
		{"no such file", map[string]string{"SECRET_FILE": "/nowhere/secret"}, "SECRET_FILE: open /nowhere/secret: no such"},
		{"an empty file", map[string]string{"SECRET_FILE": file("\n")}, "SECRET is empty"},
		{"a rule", map[string]string{"SECRET_FILE": file("short")}, "SECRET has at least 8 bytes"},
		{
			"malformed",
			map[string]string{"SECRET": "long enough", "POOL_SIZE_FILE": file("many")},
			"POOL_SIZE is not a whole number",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadFrom[process](c.vars)
			require.ErrorContains(t, err, "  - "+c.want)
			require.Equal(t, 1, strings.Count(err.Error(), "  - "), err.Error())
			require.NotContains(t, err.Error(), "long enough", "no value is shown")
		})
	}
}

// TestFilesFromTheProcess: the process's own environment may name files, too.
func TestFilesFromTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	require.NoError(t, os.WriteFile(path, []byte("long enough\n"), 0o600))
	t.Setenv("SECRET_FILE", path)
	got, err := Load[process]()
	require.NoError(t, err)
	require.Equal(t, "long enough", got.Auth.Secret.Value)
}
