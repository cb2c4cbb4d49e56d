package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// composeFlags are those flags of Compose, in the commands of the guides, that take a value.
var composeFlags = []string{"--profile", "--entrypoint"}

// composeCommand is a command that a guide gives for production: the alias `prod` and its arguments.
type composeCommand struct {
	verb     string
	profiles []string
	words    []string // after the verb, without flags of Compose: services, or a service and what runs in it
}

func parseComposeCommand(line string) (c composeCommand) {
	all := strings.Fields(line)
	for i := 0; i < len(all); i++ {
		switch word := all[i]; {
		case c.verb == "run" && len(c.words) > 0, c.verb == "exec" && len(c.words) > 0:
			c.words = append(c.words, word) // of the command in the container
		case slices.Contains(composeFlags, word):
			i++
			if word == "--profile" {
				c.profiles = append(c.profiles, all[i])
			}
		case strings.HasPrefix(word, "-"):
		case c.verb == "":
			c.verb = word
		default:
			c.words = append(c.words, word)
		}
	}
	return c
}

// TestGuidesNameServicesOfProduction: each command that a guide gives for one production host names services and
// profiles of compose.prod.yml, and the commands of ours that it runs exist, with their flags.
func TestGuidesNameServicesOfProduction(t *testing.T) {
	t.Parallel()
	project := production(t)
	var profiles []string
	for _, service := range project.Services {
		profiles = append(profiles, service.Profiles...)
	}
	pages, err := filepath.Glob(root + "docs/*/*.md")
	require.NoError(t, err)
	command := regexp.MustCompile("(?m)(?:`|^|&& )prod ([^`\n#&]+)")
	checked := 0
	for _, page := range pages {
		for _, m := range command.FindAllStringSubmatch(source(t, strings.TrimPrefix(page, root)), -1) {
			c := parseComposeCommand(m[1])
			require.Subset(t, profiles, c.profiles, "%s: prod %s", page, m[1])
			checked++
			switch c.verb {
			case "run", "exec":
				require.NotEmpty(t, c.words, "%s: prod %s", page, m[1])
				require.Contains(t, project.Services, c.words[0], "%s: prod %s", page, m[1])
				requireOwnCommand(t, c, page+": prod "+m[1])
			case "up", "stop", "rm", "logs", "ps", "restart":
				for _, name := range c.words {
					require.Contains(t, project.Services, name, "%s: prod %s", page, m[1])
				}
			case "down":
				require.Empty(t, c.words, "%s: prod %s", page, m[1])
			default:
				require.Fail(t, "a command that this test does not know", "%s: prod %s", page, m[1])
			}
		}
	}
	require.Greater(t, checked, 15)
}

// requireOwnCommand checks what a command runs in a container of ours: the image's entry point is the binary, which
// `run` calls and `exec` does not.
func requireOwnCommand(t *testing.T, c composeCommand, where string) {
	t.Helper()
	words := c.words[1:]
	if c.verb == "exec" {
		require.NotEmpty(t, words, where)
		require.Equal(t, "/holdfast", words[0], where)
		words = words[1:]
	} else if len(words) == 0 || words[0] == "/restore.sh" {
		return
	}
	cmd, rest, err := newRoot().Find(words)
	require.NoError(t, err, where)
	require.NotEqual(t, "holdfast", cmd.Name(), where)
	require.NoError(t, cmd.ParseFlags(rest), where)
}
