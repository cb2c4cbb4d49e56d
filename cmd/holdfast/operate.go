package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/auth"
	"holdfast/internal/config"
)

// stackEnv is where the development stack keeps the secrets that it generated.
var stackEnv = filepath.Join(".holdfast", "env")

func newToken() *cobra.Command {
	var subject, role string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "token", Args: cobra.NoArgs,
		Short: "Print a token signed with JWT_SECRET, or with the development stack's own secret.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := tokenConfig()
			if err != nil {
				return err
			}
			token, err := auth.Sign(cfg, subject, auth.Role(role), ttl)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	cmd.Flags().StringVar(&subject, "sub", "", "the subject that the token names, as in alice (required)")
	cmd.Flags().StringVar(&role, "role", string(auth.Customer), "customer, shop, operator or admin")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the token is valid")
	if err := cmd.MarkFlagRequired("sub"); err != nil {
		panic(err) // the flag is defined three lines above
	}
	return cmd
}

// tokenConfig takes the secret from the environment, or else from the development stack of this folder.
func tokenConfig() (auth.Config, error) {
	vars, err := environment("JWT_", "JWT_SECRET")
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("JWT_SECRET is not set and there is no %s here; "+
			"set JWT_SECRET, or run this in the folder where `make up` was run", stackEnv)
	}
	if err != nil {
		return auth.Config{}, err
	}
	return config.LoadFrom[auth.Config](vars)
}

// readerEnvironment is the environment of a command that only reads: if it names no database, the command works on
// the development stack of this folder, if there is one. Commands that write want the names, so that none changes the
// stack by mistake.
func readerEnvironment() (map[string]string, error) {
	vars, err := environment("", "ORDERS_DATABASE_URL", "INVENTORY_DATABASE_URL", "SANDBOX_DATABASE_URL")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // the command says which variables are missing
	}
	return vars, err
}

// environment returns the variables of this process. If none of the needed ones is set, it adds those variables of
// the development stack of this folder that begin with the prefix. The error is fs.ErrNotExist if there is no stack;
// the variables are those of this process then.
func environment(prefix string, needed ...string) (map[string]string, error) {
	vars := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	if slices.ContainsFunc(needed, func(name string) bool { return vars[name] != "" || vars[name+"_FILE"] != "" }) {
		return vars, nil
	}

	f, err := os.Open(stackEnv)
	if err != nil {
		return vars, fmt.Errorf("read the settings of `make up`: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok && strings.HasPrefix(name, prefix) && vars[name+"_FILE"] == "" {
			vars[name] = value
		}
	}
	return vars, lines.Err()
}
