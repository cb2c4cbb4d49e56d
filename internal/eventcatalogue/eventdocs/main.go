// Command eventdocs writes the schemas and examples of events and the AsyncAPI document into a folder, and deletes
// those of events that no longer exist.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"holdfast/internal/eventcatalogue"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: eventdocs FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "eventdocs:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	files, err := eventcatalogue.Files()
	if err != nil {
		return err
	}
	for _, sub := range []string{"schemas", "examples"} {
		if err := os.RemoveAll(filepath.Join(folder, sub)); err != nil {
			return fmt.Errorf("delete the old files: %w", err)
		}
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return fmt.Errorf("make the folder: %w", err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
