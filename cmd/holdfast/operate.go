package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
		Use: "token", Args: arguments(),
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

// tokenConfig takes the secret from the environment, or else from the development stack of this folder. Secret, issuer
// and audience belong together, so they come from the same place.
func tokenConfig() (auth.Config, error) {
	vars := processEnvironment()
	var err error
	if !isSet(vars, "JWT_SECRET") {
		maps.DeleteFunc(vars, func(name, _ string) bool { return strings.HasPrefix(name, "JWT_") })
		_, err = addStack(vars, "JWT_")
	}
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
// the development stack of this folder, if there is one, and says so on stderr. Commands that write want the names, so
// that none changes the stack by mistake.
func readerEnvironment(stderr io.Writer) (map[string]string, error) {
	vars := processEnvironment()
	if isSet(vars, "ORDERS_DATABASE_URL", "INVENTORY_DATABASE_URL", "SANDBOX_DATABASE_URL") {
		return vars, nil
	}
	kept, err := addStack(vars, "")
	if errors.Is(err, fs.ErrNotExist) {
		return vars, nil // the command says which variables are missing
	}
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("The environment names no database: using %s, the settings of `make up`", stackEnv)
	if len(kept) > 0 {
		note += ", except " + strings.Join(kept, ", ") + ", which the environment sets"
	}
	fmt.Fprintln(stderr, note+".")
	return vars, nil
}

// processEnvironment returns the variables of this process.
func processEnvironment() map[string]string {
	vars := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return vars
}

// isSet reports whether one of the variables is set, also by a file. An empty variable is not.
func isSet(vars map[string]string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return vars[name] != "" || vars[name+"_FILE"] != "" })
}

// addStack adds those variables of the development stack of this folder that begin with the prefix and are not set.
// It returns the names of those that are set to another value, which stays. The error is fs.ErrNotExist if there is no
// stack.
func addStack(vars map[string]string, prefix string) (kept []string, err error) {
	f, err := os.Open(stackEnv)
	if err != nil {
		return nil, fmt.Errorf("read the settings of `make up`: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		switch {
		case !ok || !strings.HasPrefix(name, prefix):
		case !isSet(vars, name):
			vars[name] = value
		case vars[name] != value:
			kept = append(kept, name)
		}
	}
	return kept, lines.Err()
}
