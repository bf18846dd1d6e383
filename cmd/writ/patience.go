package main

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// patience bounds what a connection may cost a service. Calls wait for the ledger, and
// subscriptions last for hours, so it is not about how long a call takes, only about how
// long the other side may let us wait.
type patience struct {
	body  time.Duration // in which a request's body must have come
	write time.Duration // in which the other side must take a piece of an answer
}

const (
	smallBody = 1 << 20 // bytes
	maxLarge  = 16      // requests with larger bodies that are handled at once
)

// bound gives a handler's requests these bounds.
func (p patience) bound(h http.Handler) http.Handler {
	large := make(chan struct{}, maxLarge)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.ContentLength != 0 { // net/http lifts it at the body's end, to hear of the other side's leaving
			c.SetReadDeadline(time.Now().Add(p.body))
		}
		body := &patientBody{ReadCloser: r.Body, large: large}
		defer body.leave()
		if r.ContentLength > smallBody && !body.enter() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, errLarge.Error(), http.StatusServiceUnavailable)
			return
		}
		r.Body = body
		h.ServeHTTP(&patientWriter{w, c, p.write}, r)
	})
}

var errLarge = errors.New("too many large requests at once")

// patientBody takes a place when a body of unknown length turns out to be large.
type patientBody struct {
	io.ReadCloser
	large  chan struct{} // places for large bodies
	inside bool          // has one of them
	n      int
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.n += n; b.n > smallBody && !b.enter() {
		return 0, errLarge
	}
	return n, err
}

func (b *patientBody) enter() bool {
	if !b.inside {
		select {
		case b.large <- struct{}{}:
			b.inside = true
		default:
		}
	}
	return b.inside
}

func (b *patientBody) leave() {
	if b.inside {
		<-b.large
	}
}

// patientWriter sets the write deadline anew for each piece.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	wait    time.Duration
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.control.SetWriteDeadline(time.Now().Add(w.wait))
	return w.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher], as streams want.
func (w *patientWriter) Flush() {
	w.control.SetWriteDeadline(time.Now().Add(w.wait))
	w.control.Flush()
}

// Unwrap is for [http.ResponseController].
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
