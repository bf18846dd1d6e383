package follower

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxResponse is the largest answer of a log: a full tile of entries, in bytes.
const maxResponse = 256 * (2 + 65535)

// maxSaid is how much of a notary's reason is passed on, in bytes.
const maxSaid = 500

// retryAfter is the pause before an entry is sent again.
const retryAfter = 250 * time.Millisecond

// errRetry marks answers after which the same entry may be sent again.
var errRetry = errors.New("not now")

// Add sends an entry to the notary and returns its index, after the notary says
// that it stands under a witnessed checkpoint. The same entry is given the same
// index, so Add repeats it until there is an answer or ctx ends. A
// refusal wraps [ErrRefused].
func (f *Follower) Add(ctx context.Context, entry []byte) (index uint64, err error) {
	for {
		index, err = f.post(ctx, entry)
		if !errors.Is(err, errRetry) {
			return index, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(retryAfter):
		}
	}
}

func (f *Follower) post(ctx context.Context, entry []byte) (uint64, error) {
	url := strings.TrimSuffix(f.url, "/") + "/add"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(entry))
	if err != nil {
		return 0, fmt.Errorf("follower: %w", err)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("follower: add: %w: %w", errRetry, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return 0, fmt.Errorf("follower: add: %w: %s %s", errRetry, resp.Status, said(body))
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("follower: add: %w: %s %s", ErrRefused, resp.Status, said(body))
	}
	var answer struct {
		Index *uint64 `json:"index"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Index == nil {
		return 0, fmt.Errorf("follower: add: %w: answer without an index", ErrRefused)
	}
	return *answer.Index, nil
}

// said quotes a notary's reason for an error that goes to logs and callers: its beginning,
// without what could pass for a line of its own.
func said(body []byte) string {
	body = bytes.TrimSpace(body)
	return strconv.Quote(string(body[:min(len(body), maxSaid)]))
}

// get fetches a resource of the log, once: the callers have their own pace.
func (f *Follower) get(ctx context.Context, path string) ([]byte, error) {
	url := strings.TrimSuffix(f.url, "/") + "/" + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("follower: GET %s: %s", path, resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	return body, nil
}

// bounded returns a copy of a client whose answers end after maxResponse bytes, and which
// goes nowhere but to the log: a redirect could lead it into its operator's own network.
func bounded(c *http.Client) *http.Client {
	b := http.Client{Timeout: 10 * time.Second}
	if c != nil {
		b = *c
	}
	if b.Transport == nil {
		b.Transport = http.DefaultTransport
	}
	b.Transport = boundedTransport{b.Transport}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &b
}

type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxResponse), resp.Body}
	}
	return resp, err
}
