package load

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// WriteJSON writes a run's results to a file, and makes its directory. An empty path writes nothing.
func WriteJSON(path string, results any) error {
	if path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	fmt.Fprintf(os.Stderr, "results are in %s\n", path)
	return nil
}

// Select reads a comma-separated choice of scenarios: nil if it is empty, which stands for all of them.
func Select(only string, names []string) ([]string, error) {
	if only == "" {
		return nil, nil
	}
	chosen := strings.Split(only, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no scenario %q; choose from: %s", name, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}
