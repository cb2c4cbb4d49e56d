package main

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDockerfile: the image has a numeric user that is not root and checks its own health, and the build gets every
// folder that the binary is made from.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := source(t, "Dockerfile")
	require.Regexp(t, `(?m)^USER [1-9]\d+:[1-9]\d+$`, text)
	require.Contains(t, text, `CMD ["/holdfast", "health"]`)
	require.Contains(t, text, "FROM scratch\n")
	for _, flag := range []string{"CGO_ENABLED=0", "-trimpath", "-s -w", "SOURCE_DATE_EPOCH", "-X main.buildVersion="} {
		require.Contains(t, text, flag)
	}

	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	needed := found(`(?m)^holdfast/([^/\n]+)`, string(out))
	require.Subset(t, found(`(?m)^!([a-z]+)$`, source(t, ".dockerignore")), needed)
}

// TestOfflineImages: deploy/docker/offline/build.sh builds every image of the default profile.
func TestOfflineImages(t *testing.T) {
	t.Parallel()
	built := found(`\(tag ([a-z/-]+)\)`, source(t, "deploy/docker/offline/build.sh"))
	want := map[string]bool{}
	for _, service := range development(t).Services {
		if len(service.Profiles) == 0 {
			image, _, _ := strings.Cut(service.Image, ":")
			want[image] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), built)
}
