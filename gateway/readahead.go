package gateway

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// readAheadMax is the length of an answer that the gateway reads whole before it begins its own, in bytes.
const readAheadMax = 64 << 10

// bufferPool lends buffers of one size. It implements httputil.BufferPool.
type bufferPool struct{ pool sync.Pool }

func newBufferPool(size int) *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { b := make([]byte, size); return &b }}}
}

// Get lends a buffer.
func (p *bufferPool) Get() []byte { return *p.pool.Get().(*[]byte) } //nolint:forcetypeassert // see newBufferPool

// Put takes a buffer back.
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

var (
	copyBuffers  = newBufferPool(32 << 10) // of ReverseProxy, which would allocate as much for each answer
	aheadBuffers = newBufferPool(readAheadMax)
)

// readAhead reads an answer's body before the gateway begins its own answer, so that an instance that dies meanwhile is
// a failure like any other, which may be tried at another instance. Of a body that is longer than readAheadMax it reads
// only the beginning.
func readAhead(res *http.Response) error {
	if res.ContentLength == 0 || res.ContentLength > readAheadMax || res.Body == http.NoBody {
		return nil
	}
	buffer := aheadBuffers.Get()
	n := 0
	for n < len(buffer) {
		m, err := res.Body.Read(buffer[n:])
		n += m
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			aheadBuffers.Put(buffer)
			return errors.Join(err, res.Body.Close())
		}
	}

	if n == len(buffer) {
		res.Body = &ahead{buffer: buffer, unread: buffer, rest: res.Body}
		return nil
	}
	_ = res.Body.Close() // it has been read to its end
	res.Body = &ahead{buffer: buffer, unread: buffer[:n]}
	if len(res.Trailer) == 0 {
		res.ContentLength = int64(n)
		res.Header.Set("Content-Length", strconv.Itoa(n))
	}
	return nil
}

// ahead is a body whose beginning has been read. Close gives its buffer back.
type ahead struct {
	buffer []byte
	unread []byte
	rest   io.ReadCloser // nil: there is no more
}

func (a *ahead) Read(p []byte) (int, error) {
	if len(a.unread) > 0 {
		n := copy(p, a.unread)
		a.unread = a.unread[n:]
		return n, nil
	}
	if a.rest == nil {
		return 0, io.EOF
	}
	return a.rest.Read(p)
}

func (a *ahead) Close() error {
	if a.buffer != nil {
		aheadBuffers.Put(a.buffer)
		a.buffer, a.unread = nil, nil
	}
	if a.rest != nil {
		return a.rest.Close()
	}
	return nil
}
