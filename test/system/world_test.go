package system

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/api"
	"writ/charter"
	"writ/client"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/ledger"
	"writ/replica"
	"writ/setup"
)

// ctx is for calls that the test's own time limit ends.
var ctx = context.Background()

// world is a deployment whose services are processes of the binary, each
// started by the command that its operator would type.
type world struct {
	*setup.World
	t      testing.TB
	policy *ledger.Policy

	mu      sync.Mutex
	running map[string]*service
}

type service struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// newWorld builds a world and starts all of it.
func newWorld(t testing.TB, o setup.WorldOptions) *world {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "world")
	must(t, os.Mkdir(dir, 0o700))
	if o.WorkFactor == 0 {
		o.WorkFactor = 10
	}
	built, err := setup.BuildWorld(dir, o)
	must(t, err)
	policy, err := ledger.ParsePolicy(built.Deployment.Policy)
	must(t, err)
	w := &world{World: built, t: t, policy: policy, running: map[string]*service{}}
	t.Cleanup(w.stop)
	first, rest, err := w.Services()
	must(t, err)
	for _, sub := range first { // the notary last: witnesses cosign its first checkpoint
		w.start(sub)
	}
	w.writ("charter", "publish", w.path("charter.signed"), "--deployment", w.path("deployment.json"))
	for _, sub := range rest {
		w.launch(sub)
	}
	for _, sub := range rest {
		w.await(sub)
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.Dir}, parts...)...)
}

// start starts the service of a subdirectory and waits until it listens.
func (w *world) start(sub string) {
	w.t.Helper()
	w.launch(sub)
	w.await(sub)
}

func (w *world) log(sub string) string { return w.path(strings.ReplaceAll(sub, "/", "-") + ".log") }

func (w *world) launch(sub string) {
	w.t.Helper()
	role, _, _ := strings.Cut(sub, "/")
	args := []string{role, "--dir", w.path(sub), "--until-eof"}
	switch role {
	case "delivery":
		args[0] = "serve"
	case "custodian", "witness":
		args = append(args, "--passphrase-file", w.path(sub, "passphrase"))
	}
	out, err := os.Create(w.log(sub))
	must(w.t, err)
	defer out.Close()
	s := &service{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	_, err = s.cmd.StdinPipe() // never closed by us: it ends with this process
	must(w.t, err)
	must(w.t, s.cmd.Start())
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[sub] = s
}

func (w *world) await(sub string) {
	w.t.Helper()
	w.mu.Lock()
	s := w.running[sub]
	w.mu.Unlock()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		b, _ := os.ReadFile(w.log(sub))
		if bytes.Contains(b, []byte(" listens on ")) {
			return
		}
		select {
		case <-s.done:
			w.t.Fatalf("%s ended: %s", sub, b)
		default:
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s does not listen: %s", sub, b)
		}
	}
}

// kill ends services as kill -9 does.
func (w *world) kill(subs ...string) {
	for _, sub := range subs {
		w.mu.Lock()
		s := w.running[sub]
		delete(w.running, sub)
		w.mu.Unlock()
		if s != nil {
			s.cmd.Process.Kill()
			<-s.done
		}
	}
}

// stop kills what runs.
func (w *world) stop() {
	w.mu.Lock()
	var subs []string
	for sub := range w.running {
		subs = append(subs, sub)
	}
	w.mu.Unlock()
	w.kill(subs...)
}

// result is how a command ended.
type result struct {
	code        int
	out, errors string
}

// run runs the binary as the agency, in the world's directory.
func (w *world) run(args ...string) result {
	return run(w.Dir, "WRIT_AGENCY="+w.path("agency"), args...)
}

func run(dir, env string, args ...string) result {
	c, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(c, binary, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{-1, out.String(), err.Error()}
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// writ runs a command that must succeed and returns what it printed.
func (w *world) writ(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.code != 0 {
		w.t.Fatalf("writ %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.errors)
	}
	return r.out
}

// device is a person's device in this process, on a directory of its own.
type device struct {
	*client.Device
	name   string
	copied *replica.Replica
	files  *client.Files
}

// laws lends a copy of the ledger to a device.
type laws struct{ *replica.Replica }

func (l laws) Charter(h charter.Hash) (c *charter.Charter, ok bool) {
	l.View(func(b *ledger.Book) { c, ok = b.Charter(h) })
	return c, ok
}

func (l laws) InForce(name string, now time.Time) (c *charter.Charter, ok bool) {
	l.View(func(b *ledger.Book) { c, ok = b.InForce(name, now) })
	return c, ok
}

func (l laws) Keys(name string, period uint32) (keys []*charter.KeyStatement) {
	l.View(func(b *ledger.Book) { keys = b.Keys(name, period) })
	return keys
}

// device registers an account with one device. Its clock is now; delivery is
// the address of the service, or of something before it.
func (w *world) device(name, delivery string, now func() time.Time) (*device, error) {
	dir := w.path("test-people", name)
	must(w.t, os.MkdirAll(dir, 0o700))
	files, err := client.OpenFiles(filepath.Join(dir, "device"))
	must(w.t, err)
	w.t.Cleanup(func() { files.Close() })
	copied, err := replica.Open(ctx, replica.Config{Path: filepath.Join(dir, "ledger.db"), URL: w.Deployment.Ledger,
		Policy: w.policy, Charters: []charter.Hash{w.Signed.Hash()}, MaxAge: time.Hour})
	must(w.t, err)
	w.t.Cleanup(func() { copied.Close() })
	must(w.t, copied.Refresh(ctx))
	transport := &http.Client{Transport: &http.Transport{}}
	w.t.Cleanup(transport.CloseIdleConnections)
	d, err := client.Open(client.Config{Storage: files, Delivery: api.NewDeliveryClient(transport, delivery), Address: delivery,
		Laws:      laws{copied},
		Directory: api.NewDirectoryClient(transport, w.Deployment.Directory), Now: now})
	must(w.t, err)
	return &device{d, name, copied, files}, d.Register(ctx, directory.Identity{Account: name, Device: "phone"}, w.Signed.Hash(), directorytest.Recovery(name).Public())
}

// people registers accounts whose clocks are right.
func (w *world) people(names ...string) (list []*device) {
	w.t.Helper()
	for _, name := range names {
		d, err := w.device(name, w.Deployment.Delivery, time.Now)
		must(w.t, err)
		list = append(list, d)
	}
	return list
}

// texts returns what a device shows of a conversation.
func (d *device) texts(t testing.TB, id client.ConversationID) (list []string) {
	t.Helper()
	events, err := d.History(id)
	must(t, err)
	for _, e := range events {
		switch e.Kind {
		case client.Message, client.Released:
			list = append(list, e.Text)
		case client.Held, client.Fault, client.Unsent:
			t.Errorf("%s: %v of %v: %s %s", d.name, e.Kind, e.Sender, e.Text, e.Reason)
		}
	}
	return list
}

// order drafts a warrant for an account and has it approved and published.
func (w *world) order(name, subject string, more ...string) {
	w.t.Helper()
	w.draft(name, subject, more...)
	w.writ("warrant", "draft", w.path(name+".json"), "--case", name)
	hash := w.hash(name)
	for _, who := range []string{"judge-1", "commissioner-1"} {
		w.writ("warrant", "approve", hash, "--yes", "--deployment", w.path("deployment.json"), "--key", w.path("keys", who+".key"))
	}
	w.writ("warrant", "publish", name)
}

// grounds is what a test's warrants say.
const grounds = "the accounts show transfers below the threshold"

func (w *world) draft(name, subject string, more ...string) {
	w.t.Helper()
	args := append([]string{"warrant", "template", "--subject", subject, "--subject-again", subject, "--reference", "file 77/" + name,
		"--entity", "the agency", "--necessity", grounds, "--least-intrusive", "bank records name nobody"}, more...)
	must(w.t, os.WriteFile(w.path(name+".json"), []byte(w.writ(args...)), 0o600))
}

// hash is the hash of a case's warrant, which drafting it again prints.
func (w *world) hash(name string) string {
	w.t.Helper()
	out := w.writ("warrant", "draft", w.path(name+".json"), "--case", name)
	_, hash, ok := strings.Cut(strings.SplitN(out, "\n", 2)[0], "warrant ")
	if !ok {
		w.t.Fatalf("no hash in %q", out)
	}
	return hash
}

// eventually tries until f says nothing is wrong.
func eventually(t testing.TB, limit time.Duration, f func() error) {
	t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %v", limit, err)
		}
	}
}

// listen takes an address that was free a moment ago.
func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	must(t, err)
	return l
}
