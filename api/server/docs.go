package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
	swagger "github.com/swaggo/files/v2"

	"holdfast/api"
)

// initializer points Swagger UI at our document instead of its example.
const initializer = `window.onload = () => { window.ui = SwaggerUIBundle({
  url: "/docs/openapi.yaml", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset], layout: "StandaloneLayout" }); };
`

// serveDocs serves Swagger UI and the document, to anybody.
func serveDocs(router gin.IRoutes) {
	files := http.StripPrefix("/docs/", http.FileServerFS(swagger.FS))
	router.GET("/docs", func(c *gin.Context) { c.Redirect(http.StatusFound, "/docs/") })
	router.GET("/docs/*file", func(c *gin.Context) {
		switch c.Param("file") {
		case "/openapi.yaml":
			c.Data(http.StatusOK, "application/yaml", api.Spec)
		case "/swagger-initializer.js":
			c.Data(http.StatusOK, "text/javascript; charset=utf-8", []byte(initializer))
		default:
			files.ServeHTTP(c.Writer, c.Request)
		}
	})
}
