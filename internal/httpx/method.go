package httpx

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
)

// Router is gin's engine with three additions: HEAD for every GET, OPTIONS, and a correct Allow header.
type Router struct {
	*gin.Engine

	once  sync.Once
	fixed map[string][]string // the methods of the routes without parameters, by path
}

type methodKey struct{}

// methodOf returns the method that the client sent.
func methodOf(r *http.Request) string {
	if _, head := r.Context().Value(methodKey{}).(bool); head {
		return http.MethodHead
	}
	return r.Method
}

// IsHead reports whether the client sent HEAD. A handler sees GET then (Router); one whose answer has no end must not
// write it for such a client.
func IsHead(r *http.Request) bool { return methodOf(r) == http.MethodHead }

// ServeHTTP answers HEAD like GET (RFC 9110, 9.3.2): every layer sees GET, and net/http, which knows the client's
// method, leaves out the body.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodHead {
		req = req.WithContext(context.WithValue(req.Context(), methodKey{}, true)) // a copy; the original is unchanged
		req.Method = http.MethodGet
	}
	r.Engine.ServeHTTP(w, req)
}

// ownMethods refuses a method that a fixed path does not have. Otherwise gin would match the path with a route that has
// a parameter: /api/products/import, which has no GET, would be the product "import".
func (r *Router) ownMethods(c *gin.Context) {
	r.once.Do(func() {
		r.fixed = map[string][]string{}
		for _, route := range r.Routes() {
			if !strings.ContainsAny(route.Path, ":*") {
				r.fixed[route.Path] = append(r.fixed[route.Path], route.Method)
			}
		}
	})
	if methods := r.fixed[c.Request.URL.Path]; methods != nil && !slices.Contains(methods, c.Request.Method) {
		otherMethod(c, methods)
		return
	}
	c.Next()
}

// otherMethod answers a request whose path has only other methods.
func otherMethod(c *gin.Context, methods []string) {
	allowed := append(slices.Clone(methods), http.MethodOptions)
	if slices.Contains(methods, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	allow := strings.Join(slices.Compact(allowed), ", ")
	c.Header("Allow", allow)
	if c.Request.Method == http.MethodOptions {
		c.Abort()
		c.Status(http.StatusNoContent)
		c.Writer.WriteHeaderNow()
		return
	}
	Fail(c, problem.Common.New(problem.MethodNotAllowed, "%s is not allowed on %s; allowed: %s",
		methodOf(c.Request), c.Request.URL.Path, allow))
}
