// Package witness is the service that cosigns a log's checkpoints, so that the
// log can't show two histories to two readers.
//
// # Terms
//
// An origin is the name of a log. A view is the last checkpoint of an origin
// that this witness cosigned. A fork is proven when one key signed two
// checkpoints of one size with two root hashes.
//
// # Protocol
//
// POST /add-checkpoint of c2sp.org/tlog-witness: the body is "old <size>\n", up to
// 63 lines of a consistency proof, an empty line and the signed checkpoint.
// Answers: 200 with cosignature lines (c2sp.org/tlog-cosignature v1); 400
// malformed; 404 unknown origin; 403 not signed by the origin's key; 409 the
// witness's view has another size, which the body says, or another root; 422 the
// proof is wrong. GET / is a status in plain text.
//
// # Guarantees
//
// A cosignature leaves only after the view it rests on is on disk: file and
// directory are synced. So after a kill or a power cut the witness never signs
// something that does not follow from what it signed before. A checkpoint that
// contradicts the view is refused, logged as an error, shown in the status, and, if it proves a
// fork, kept with its counterpart in the state directory.
//
// # What it does not do
//
// It doesn't read entries and doesn't judge them. It doesn't fetch anything: the
// log brings its checkpoints. Two processes on one directory are refused.
//
// # Example
//
//	key, err := witness.ParseKey(text)
//	w, err := witness.New(witness.Config{Dir: dir, Key: key, Logs: []string{vkey}})
//	http.ListenAndServe(addr, w)
package witness

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Config is what a witness is started with.
type Config struct {
	Dir  string           // state; created if it isn't there
	Key  *Key             // signs cosignatures
	Logs []string         // keys of the logs to witness (c2sp.org/signed-note); a checkpoint of another is refused
	Log  *slog.Logger     // gets a line for each refusal that matters; none if nil
	Now  func() time.Time // dates cosignatures; time.Now if nil

	// Fatal is called once when the disk fails, and should end the process: a restart
	// reads what is stored. Nil: the witness only cosigns nothing any more.
	Fatal func(error)
}

// Witness is the service. It is an [http.Handler].
type Witness struct {
	key   *Key
	log   *slog.Logger
	now   func() time.Time
	mux   *http.ServeMux
	store *store
	fatal func(error)

	mu     sync.Mutex // held from reading a view until the cosignature that follows from it
	logs   map[string]*view
	broken error // the disk failed: nothing is cosigned until a restart
}

// view is what the witness knows of one origin.
type view struct {
	verifier  note.Verifier
	tree      tlog.Tree
	signed    []byte    // the checkpoint, signed by the log; nil if there was none
	cosigned  time.Time // when this process last did; zero before
	refused   int       // contradicting checkpoints, since the start
	forks     int       // proven ones, on disk
	lastError string
}

// New starts a witness from its state directory. It refuses a
// directory that another process uses and a state that doesn't verify.
func New(c Config) (*Witness, error) {
	st, err := openStore(c.Dir)
	if err != nil {
		return nil, err
	}
	w := &Witness{key: c.Key, log: c.Log, now: c.Now, fatal: c.Fatal, store: st, logs: map[string]*view{}, mux: http.NewServeMux()}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.now == nil {
		w.now = time.Now
	}
	for _, vkey := range c.Logs {
		if err := w.load(vkey); err != nil {
			st.close()
			return nil, err
		}
	}
	w.mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	w.mux.HandleFunc("GET /{$}", w.serveStatus)
	return w, nil
}

func (w *Witness) load(vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("witness: log key %q: %w", vkey, err)
	}
	if w.logs[verifier.Name()] != nil {
		return fmt.Errorf("witness: two keys for log %q", verifier.Name())
	}
	v := &view{verifier: verifier}
	if v.signed, v.forks, err = w.store.read(verifier.Name()); err != nil {
		return err
	}
	if v.signed != nil {
		c, err := openCheckpoint(v.signed, verifier)
		if err != nil {
			return fmt.Errorf("witness: state of %q: %w", verifier.Name(), err)
		}
		v.tree = c.Tree
	}
	w.logs[verifier.Name()] = v
	return nil
}

// Close releases the state directory.
func (w *Witness) Close() error { return w.store.close() }

// VKey returns the witness's key for a policy.
func (w *Witness) VKey() string { return w.key.VKey() }

// ServeHTTP serves the protocol and the status.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(rw, r) }

func (w *Witness) serveAdd(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	lines, err := w.add(body)
	var conflict sizeError
	switch {
	case errors.As(err, &conflict):
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", int64(conflict))
	case errors.Is(err, errDisk):
		http.Error(rw, errDisk.Error(), http.StatusInternalServerError)
	case err != nil:
		http.Error(rw, err.Error(), status(err))
	default:
		rw.Write(lines)
	}
}

func status(err error) int {
	for target, code := range map[error]int{errMalformed: 400, errOrigin: 404, errSignature: 403, errRoot: 409, errProof: 422} {
		if errors.Is(err, target) {
			return code
		}
	}
	return http.StatusInternalServerError
}

var (
	errMalformed = errors.New("witness: malformed request")
	errOrigin    = errors.New("witness: refused: unknown log")
	errSignature = errors.New("witness: refused: not signed by the log")
	errRoot      = errors.New("witness: refused: another root hash for the same size: the log has forked")
	errProof     = errors.New("witness: refused: the log did not only grow")
	errDisk      = errors.New("witness: stopped: its state can't be stored") // the reason is for the log
)

// sizeError says which size the witness knows.
type sizeError int64

func (e sizeError) Error() string { return fmt.Sprintf("witness: refused: size is %d", int64(e)) }

// add follows c2sp.org/tlog-witness, add-checkpoint, step by step.
func (w *Witness) add(body []byte) (cosignatures []byte, err error) {
	req, err := parseRequest(body)
	if err != nil {
		return nil, err
	}
	v := w.logs[req.origin]
	if v == nil {
		return nil, errOrigin
	}
	c, err := openCheckpoint(req.signed, v.verifier)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil, w.broken
	}
	if err := v.check(req, c); err != nil {
		return nil, w.report(v, c, req, err)
	}
	if c.N != v.tree.N || v.signed == nil {
		if err := w.store.write(c.Origin, req.signed); err != nil {
			w.log.Error("witness: state not written", "origin", c.Origin, "error", err)
			w.broken = errDisk // after a failed fsync a later one proves nothing
			if w.fatal != nil {
				w.fatal(err)
			}
			return nil, w.broken
		}
		v.tree, v.signed = c.Tree, req.signed
	}
	v.cosigned = w.now()
	return w.key.cosign(c.String(), v.cosigned), nil
}

func (v *view) check(req *request, c torchwood.Checkpoint) error {
	switch {
	case req.old > c.N:
		return fmt.Errorf("%w: old size %d above size %d", errMalformed, req.old, c.N)
	case req.old != v.tree.N:
		if c.N == v.tree.N && v.signed != nil && c.Hash != v.tree.Hash {
			return errRoot
		}
		return sizeError(v.tree.N)
	case v.signed == nil || v.tree.N == 0: // nothing to be consistent with
		if len(req.proof) > 0 {
			return fmt.Errorf("%w: a proof from size 0", errMalformed)
		}
		return nil
	case c.N == v.tree.N && c.Hash != v.tree.Hash:
		return errRoot
	case tlog.CheckTree(req.proof, c.N, c.Hash, v.tree.N, v.tree.Hash) != nil:
		return errProof
	}
	return nil
}

// report makes a contradiction public and keeps the evidence of a fork. The
// checkpoint c is signed by the log.
func (w *Witness) report(v *view, c torchwood.Checkpoint, req *request, err error) error {
	if !errors.Is(err, errRoot) && !errors.Is(err, errProof) {
		return err
	}
	v.refused++
	v.lastError = fmt.Sprintf("size %d root %s contradicts size %d root %s: %v", c.N, c.Hash, v.tree.N, v.tree.Hash, err)
	w.log.Error("witness: contradiction", "origin", c.Origin, "detail", v.lastError)
	if errors.Is(err, errRoot) && v.forks < maxForks {
		added, storeErr := w.store.addFork(c.Origin, c.Hash, slices.Concat(v.signed, []byte("\n"), req.signed))
		if storeErr != nil {
			w.log.Error("witness: evidence not written", "origin", c.Origin, "error", storeErr)
		}
		if added {
			v.forks++
		}
	}
	return err
}

func (w *Witness) serveStatus(rw http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(rw, "witness %s\n", w.VKey())
	if w.broken != nil {
		fmt.Fprintf(rw, "stopped %v\n", w.broken)
	}
	origins := make([]string, 0, len(w.logs))
	for o := range w.logs {
		origins = append(origins, o)
	}
	slices.Sort(origins)
	for _, o := range origins {
		v := w.logs[o]
		fmt.Fprintf(rw, "\nlog %s\nsize %d\nroot %s\n", o, v.tree.N, v.tree.Hash)
		if !v.cosigned.IsZero() {
			fmt.Fprintf(rw, "cosigned %s\n", v.cosigned.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(rw, "forks %d\nrefused %d\n", v.forks, v.refused)
		if v.lastError != "" {
			fmt.Fprintf(rw, "last %s\n", v.lastError)
		}
	}
}
