package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// compressFrom is the length from which an answer is compressed, in bytes. Below it, the client would save nothing: the
// answer fits into one packet anyway.
const compressFrom = 1024

// newCompression returns what compresses a handler's answers by gzip, or by zstd if the client prefers it or accepts
// both. Accept-Encoding of the request decides; HEAD gets the headers of the plain answer.
//
// The ETag stays as it is: clients send it back in If-Match, where only the service's own value has a meaning. The
// header Vary keeps caches from confusing the codings.
func newCompression() (func(http.Handler) http.HandlerFunc, error) {
	wrap, err := gzhttp.NewWrapper(
		gzhttp.MinSize(compressFrom),
		gzhttp.CompressionLevel(gzip.BestSpeed),
		gzhttp.ContentTypeFilter(compressible),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the compression of answers: %w", err)
	}
	return wrap, nil
}

// compressible reports whether answers of a content type get smaller. A stream of events must arrive event by event.
func compressible(contentType string) bool {
	mediaType, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	mediaType = strings.TrimSpace(mediaType)
	switch {
	case mediaType == "text/event-stream":
		return false
	case strings.HasPrefix(mediaType, "text/"), strings.HasSuffix(mediaType, "+json"), mediaType == "image/svg+xml":
		return true
	}
	return mediaType == "application/json" || mediaType == "application/yaml" || mediaType == "application/javascript"
}
