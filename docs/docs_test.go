// Package docs_test checks that the links of the documentation are right.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var link = regexp.MustCompile(`\[([^\]]*)\]\(([^)#\s]+)[^)]*\)`)

// TestLinks: every relative link of our pages leads to an existing file, and a link whose text is a name in code
// leads to a file that contains the name.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for _, pattern := range []string{
		"*/*.md", "../*.md", "../*/*.md", "../internal/*/*.md", "../internal/*/*/*.md", "../examples/*/*.md",
		"../deploy/*/*.md",
	} {
		more, err := filepath.Glob(pattern)
		require.NoError(t, err)
		pages = append(pages, more...)
	}

	checked := 0
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(raw), -1) {
			text, target := m[1], m[2]
			if strings.Contains(target, "://") {
				continue
			}
			file := filepath.Join(filepath.Dir(page), target)
			require.FileExists(t, maybeDir(file), "%s links to %s", page, target)
			checked++
			name := strings.Trim(text, "`")
			if name == text || !strings.HasSuffix(file, ".go") || strings.ContainsAny(name, "/. ") {
				continue
			}
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			word := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
			require.True(t, word.Match(code), "%s says that %s is in %s", page, name, target)
		}
	}
	require.Greater(t, checked, 30)
}

// maybeDir returns the first file of a folder, or else the path itself.
func maybeDir(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
			return filepath.Join(path, entries[0].Name())
		}
	}
	return path
}

// TestSecurityPage: the page on the OWASP API Security Top 10 has all ten risks, each with a test that proves the
// control, and each test that it names exists.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	const page = "security/owasp-api-top-10.md"
	raw, err := os.ReadFile(page)
	require.NoError(t, err)
	test := regexp.MustCompile("\\[`(Test\\w+)`\\]\\(([^)]+)\\)")

	risks := strings.Split(string(raw), "\n## ")[1:]
	for n := 1; n <= 10; n++ {
		risk := risks[n-1]
		require.True(t, strings.HasPrefix(risk, fmt.Sprintf("API%d: ", n)), risk[:min(40, len(risk))])
		named := test.FindAllStringSubmatch(risk, -1)
		require.NotEmpty(t, named, "API%d names no test", n)
		for _, m := range named {
			code, err := os.ReadFile(filepath.Join(filepath.Dir(page), m[2]))
			require.NoError(t, err)
			require.Contains(t, string(code), "\nfunc "+m[1]+"(t *testing.T)", "API%d", n)
		}
	}
}
