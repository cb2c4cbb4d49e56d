package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"holdfast/internal/payloadcodec"
	"holdfast/internal/webhook"
)

// secretFiles are the secrets that this command makes, with what makes each. The name of a file is that of its variable
// in lower case.
var secretFiles = []struct {
	name string
	make func() string
}{
	{"jwt_secret", random},
	{"service_api_keys", random},
	{"internal_token_secrets", random},
	{"payment_webhook_secrets", webhook.NewSecret},
}

// random returns 260 random bits.
func random() string { return rand.Text() + rand.Text() }

func newSecrets() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets",
		Short: "Make the platform's own secrets.",
	}
	cmd.AddCommand(newGenerate(), newPayloadKey())
	return cmd
}

func newPayloadKey() *cobra.Command {
	return &cobra.Command{
		Use: "payload-key", Args: arguments(),
		Short: "Print a new random key for TEMPORAL_PAYLOAD_KEYS.",
		Long: "Prints a new random key for TEMPORAL_PAYLOAD_KEYS. Without its key, an encrypted history can never be read\n" +
			"again, and its order cannot go on: keep a copy of the key where you keep the backups' keys.",
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), payloadcodec.NewKey()) },
	}
}

func newGenerate() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "generate", Args: arguments(),
		Short: "Make random secrets as files, for JWT_SECRET_FILE and the other variables of their names.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, secret := range secretFiles {
				path := filepath.Join(dir, secret.name)
				made, err := makeSecret(path, secret.make)
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

// makeSecret writes a secret, readable by the file's owner only. It never changes a file, and a reader never sees half
// of one.
func makeSecret(path string, secret func() string) (made bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // its mode is 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the link below keeps the content
	_, err = fmt.Fprintln(f, secret())
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
