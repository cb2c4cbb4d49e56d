package docs_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var diagram = regexp.MustCompile("(?s)```mermaid\n(.*?)```")

// TestPicturesAreCurrent: each exported picture begins with the hash of the diagram that it was made from, and no
// diagram of the README and of the architecture is left out.
func TestPicturesAreCurrent(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("pictures/pictures.txt")
	require.NoError(t, err)
	exported := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(list)), "\n") {
		fields := strings.Fields(line)
		text, err := os.ReadFile(filepath.Join("..", fields[1]))
		require.NoError(t, err)
		source := string(text)
		if len(fields) == 3 {
			n, err := strconv.Atoi(fields[2])
			require.NoError(t, err, line)
			source = diagram.FindAllStringSubmatch(source, -1)[n-1][1]
			exported[fields[1]]++
		}
		picture, err := os.ReadFile(filepath.Join("pictures", fields[0]))
		require.NoError(t, err)
		want := fmt.Sprintf("<!-- source %x -->\n<svg", sha256.Sum256([]byte(strings.TrimSpace(source))))
		require.True(t, strings.HasPrefix(string(picture), want), "%s is stale: run make pictures", fields[0])
	}
	for _, page := range []string{"README.md", "docs/architecture/README.md"} {
		text, err := os.ReadFile(filepath.Join("..", page))
		require.NoError(t, err)
		require.Equal(t, len(diagram.FindAllString(string(text), -1)), exported[page], "diagrams of %s", page)
	}
}

// TestIndexLeadsEverywhere: each room has a page of its own, and the index leads to every page.
func TestIndexLeadsEverywhere(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("README.md")
	require.NoError(t, err)
	decisions, err := os.ReadFile("adr/README.md")
	require.NoError(t, err)
	pages, err := filepath.Glob("*/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		if filepath.Dir(page) == "adr" {
			if page != "adr/README.md" {
				require.Contains(t, string(decisions), "("+filepath.Base(page)+")")
			}
			continue
		}
		if page != "architecture/inventory-plans-table.md" { // a table of the page beside it
			require.Contains(t, string(index), "("+page+")", "docs/README.md does not lead to it")
		}
	}
	for _, room := range []string{
		"workflows", "activities", "workers", "api", "gateway", "inventory", "db", "internal/eventprocess", "dev",
		"internal/payment/sandboxserver", "internal/codecserver", "internal/audit",
	} {
		require.FileExists(t, filepath.Join("..", room, "README.md"))
		require.Contains(t, string(index), "("+filepath.Join("..", room, "README.md")+")")
	}
}
