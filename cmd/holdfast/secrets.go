package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// secretFiles are the secrets that this command makes: the name of each file is that of its variable in lower case.
var secretFiles = []string{"jwt_secret", "service_api_keys"}

func newSecrets() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "secrets", Args: cobra.NoArgs,
		Short: "Make random secrets as files, for JWT_SECRET_FILE and SERVICE_API_KEYS_FILE; existing files stay.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range secretFiles {
				path := filepath.Join(dir, name)
				made, err := makeSecret(path)
				if err != nil {
					return fmt.Errorf("make a secret: %w", err)
				}
				word := "exists"
				if made {
					word = "made"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-7s %s\n", word, path)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the directory for the files (required)")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return cmd
}

// makeSecret writes 260 random bits, readable by the file's owner only. It never changes a file, and a reader never
// sees half of one.
func makeSecret(path string) (made bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // its mode is 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the link below keeps the content
	_, err = fmt.Fprintln(f, rand.Text()+rand.Text())
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
