package server

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	swagger "github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// Document is the contract of another interface, which the documentation's page offers beside our own.
type Document struct {
	Name string // in the page's list
	File string // below /docs/, as in inventory.yaml
	Spec []byte // OpenAPI as YAML
}

// docsPage is the documentation's page. The module with Swagger UI has no page of its own.
const docsPage = `<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="UTF-8">
  <title>Holdfast API</title>
  <link rel="stylesheet" type="text/css" href="./swagger-ui.css">
  <link rel="icon" type="image/png" href="./favicon-32x32.png" sizes="32x32">
  <link rel="icon" type="image/png" href="./favicon-16x16.png" sizes="16x16">
  <style>html { box-sizing: border-box; overflow-y: scroll } body { margin: 0; background: #fafafa }</style>
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="./swagger-ui-bundle.js" charset="UTF-8"></script>
  <script src="./swagger-ui-standalone-preset.js" charset="UTF-8"></script>
  <script src="./swagger-initializer.js" charset="UTF-8"></script>
</body>
</html>
`

// initializer points Swagger UI at our documents instead of its example.
const initializer = `window.onload = () => { window.ui = SwaggerUIBundle({
  urls: %s, dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset], layout: "StandaloneLayout" }); };
`

// serveDocs serves Swagger UI and the documents. They are public.
func serveDocs(router gin.IRoutes, spec []byte, more []Document) error {
	type entry struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	var list []entry
	specs := map[string][]byte{}
	for _, d := range append([]Document{{Name: "Orders", File: "openapi.yaml", Spec: spec}}, more...) {
		list = append(list, entry{d.Name, "/docs/" + d.File})
		specs["/"+d.File] = d.Spec
	}

	urls, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("list the documents: %w", err)
	}
	script := fmt.Appendf(nil, initializer, urls)
	// The files are compressed in the binary; a client that takes no compressed answer gets them decompressed.
	files := http.StripPrefix("/docs", statigz.FileServer(swagger.FS))

	router.GET("/docs", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	router.GET("/docs/*file", func(c *gin.Context) {
		file := c.Param("file")
		if spec, found := specs[file]; found {
			c.Data(http.StatusOK, "application/yaml", spec)
			return
		}
		switch file {
		case "/":
			c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(docsPage))
			return
		case "/swagger-initializer.js":
			c.Data(http.StatusOK, "text/javascript; charset=utf-8", script)
			return
		}
		if !hasFile(file) {
			// ServeHTTP would answer with plain text.
			httpx.Fail(c, problem.Common.New(problem.RouteNotFound, "there is no /docs%s", file))
			return
		}
		files.ServeHTTP(c.Writer, c.Request)
	})
	return nil
}

// hasFile reports whether Swagger UI has the file, plain or compressed.
func hasFile(path string) bool {
	name := strings.TrimPrefix(path, "/")
	if strings.HasSuffix(name, ".gz") {
		return false
	}
	for _, stored := range []string{name, name + ".gz"} {
		if info, err := fs.Stat(swagger.FS, stored); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}
