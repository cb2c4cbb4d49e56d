package stack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"holdfast/internal/webhook"
)

// envFile is the file with the stack's settings, inside its data directory. `holdfast token` and
// people (`set -a; . .holdfast/env`) read it.
const envFile = "env"

// loadSettings returns the variables of the env file, with the stack's own secrets. The first run makes the
// secrets, and the file keeps them.
func loadSettings(dir string) (map[string]string, error) {
	vars := map[string]string{}
	raw, err := os.ReadFile(filepath.Join(dir, envFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the stack's settings: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			vars[name] = value
		}
	}
	for _, name := range []string{"JWT_SECRET", "SERVICE_API_KEYS", "INTERNAL_TOKEN_SECRETS"} {
		if vars[name] == "" {
			vars[name] = rand.Text() + rand.Text() // 260 bits
		}
	}
	if vars["PAYMENT_WEBHOOK_SECRETS"] == "" {
		vars["PAYMENT_WEBHOOK_SECRETS"] = webhook.NewSecret()
	}
	vars["SANDBOX_WEBHOOK_SECRETS"] = vars["PAYMENT_WEBHOOK_SECRETS"]
	return vars, nil
}

// saveSettings writes the env file whole, readable by its owner only.
func saveSettings(dir string, vars map[string]string) error {
	names := make([]string, 0, len(vars))
	for name := range vars {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("# Written by `make up`. The secrets are this machine's own and never leave it.\n")
	for _, name := range names {
		fmt.Fprintf(&b, "%s=%s\n", name, vars[name])
	}
	file := filepath.Join(dir, envFile)
	if err := os.WriteFile(file+".new", []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write the stack's settings: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write the stack's settings: %w", err)
	}
	return nil
}
