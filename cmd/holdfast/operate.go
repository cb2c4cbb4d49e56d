package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
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
	vars := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	if vars["JWT_SECRET"] == "" && vars["JWT_SECRET_FILE"] == "" {
		f, err := os.Open(stackEnv)
		if err != nil {
			return auth.Config{}, fmt.Errorf("JWT_SECRET is not set and there is no %s here; "+
				"set JWT_SECRET, or run this in the folder where `make up` was run", stackEnv)
		}
		defer f.Close() //nolint:errcheck // only read

		for lines := bufio.NewScanner(f); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasPrefix(name, "JWT_") {
				vars[name] = value
			}
		}
	}
	return config.LoadFrom[auth.Config](vars)
}
