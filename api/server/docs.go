package server

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	swagger "github.com/swaggo/files/v2"

	"holdfast/api"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// Document is the contract of another interface, which the documentation's page offers beside our own.
type Document struct {
	Name string // in the page's list
	File string // below /docs/, as in inventory.yaml
	Spec []byte // OpenAPI as YAML
}

// initializer points Swagger UI at our documents instead of its example.
const initializer = `window.onload = () => { window.ui = SwaggerUIBundle({
  urls: %s, dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset], layout: "StandaloneLayout" }); };
`

// serveDocs serves Swagger UI and the documents. They are public.
func serveDocs(router gin.IRoutes, more []Document) error {
	type entry struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	var list []entry
	specs := map[string][]byte{}
	for _, d := range append([]Document{{Name: "Orders", File: "openapi.yaml", Spec: api.Spec}}, more...) {
		list = append(list, entry{d.Name, "/docs/" + d.File})
		specs["/"+d.File] = d.Spec
	}

	urls, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("list the documents: %w", err)
	}
	script := fmt.Appendf(nil, initializer, urls)
	files := http.StripPrefix("/docs/", http.FileServerFS(swagger.FS))

	router.GET("/docs", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	router.GET("/docs/*file", func(c *gin.Context) {
		file := c.Param("file")
		if spec, found := specs[file]; found {
			c.Data(http.StatusOK, "application/yaml", spec)
			return
		}
		if file == "/swagger-initializer.js" {
			c.Data(http.StatusOK, "text/javascript; charset=utf-8", script)
			return
		}
		if _, err := fs.Stat(swagger.FS, strings.TrimPrefix(file, "/")); err != nil && file != "/" {
			// ServeHTTP would answer with plain text.
			httpx.Fail(c, problem.Common.New(problem.RouteNotFound, "there is no /docs%s", file))
			return
		}
		files.ServeHTTP(c.Writer, c.Request)
	})
	return nil
}
