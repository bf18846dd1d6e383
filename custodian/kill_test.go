package custodian_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/api"
	"writ/charter"
	"writ/custodian"
	"writ/internal/testlaw"
	"writ/ledger"
)

// childEnv carries what a custodian process of a test is started with.
const childEnv = "WRIT_TEST_CUSTODIAN"

type child struct {
	Dir, Ledger, Policy string
	Charter             charter.Hash
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		log.Fatal(serveChild(text))
	}
	os.Exit(m.Run())
}

// serveChild is a custodian process. It says where it listens.
func serveChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	policy, err := ledger.ParsePolicy(c.Policy)
	if err != nil {
		return err
	}
	s, err := custodian.Open(context.Background(), custodian.Config{Dir: c.Dir, Passphrase: []byte(testlaw.Passphrase), WorkFactor: 5,
		Ledger: c.Ledger, Policy: policy, Charters: []charter.Hash{c.Charter}, MaxAge: time.Minute, Poll: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go s.Run(context.Background())
	return http.Serve(l, s.Handler())
}

// startChild starts a custodian process and waits until it listens.
func startChild(t *testing.T, w *testlaw.World, c testlaw.Custodian) (*exec.Cmd, api.CustodianClient) {
	t.Helper()
	text, err := json.Marshal(child{c.Dir, w.Ledger, w.Policy.String(), w.Charter.Hash()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("custodian process: %v: %s", err, problems.String())
	}
	return cmd, api.NewCustodianClient(http.DefaultClient, "http://"+strings.TrimSpace(line))
}

// Kill -9 of a custodian at any moment while requests run: after a restart
// every request gets its release, the one that was given before if one was, and
// each has exactly one intent on the ledger.
func TestKilledCustodian(t *testing.T) {
	t.Parallel()
	rounds, each := 8, 4
	if testing.Short() {
		rounds = 2
	}
	w := testlaw.New(t, nil, testlaw.Small...)
	c := w.Custodians[0]
	first := prepare(w, 1).log()
	answered := 0
	var all []*asked
	for range rounds {
		var batch []*asked
		for range each {
			batch = append(batch, first.another())
		}
		all = append(all, batch...)
		process, client := startChild(t, w, c)
		before := make([][]byte, each)
		var calls sync.WaitGroup
		for i, q := range batch {
			r := q.request(t)
			calls.Go(func() {
				if out, err := send(t, c, client, r); err == nil {
					before[i] = out.GetGranted().GetRelease()
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(900)) * time.Millisecond)
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		process.Wait()
		calls.Wait()
		process, client = startChild(t, w, c)
		for i, q := range batch {
			out := eventually(t, func() (*api.ReleaseResponse, error) { return send(t, c, client, q.request(t)) })
			q.open(t, c, out)
			if before[i] != nil {
				answered++
				if !bytes.Equal(before[i], out.GetGranted().GetRelease()) {
					t.Error("another release than before the kill")
				}
			}
		}
		process.Process.Kill()
		process.Wait()
	}
	book, entries := w.Book()
	intents := map[ledger.EntryHash]int{}
	for _, e := range entries {
		if e.Release != nil {
			intents[e.Release.Request]++
		}
	}
	for _, q := range all {
		if n := intents[ledger.HashEntry(q.requestEntry)]; n != 1 {
			t.Errorf("request %d has %d intents", q.requestIndex, n)
		}
	}
	if len(intents) != len(all) || len(book.Findings()) > 0 {
		t.Errorf("intents for %d requests of %d, findings %v", len(intents), len(all), book.Findings())
	}
	t.Logf("%d requests, %d kills, %d answered before the kill", len(all), rounds, answered)
}

// another is a further request entry under the same warrant.
func (q *asked) another() *asked {
	q.w.T.Helper()
	more := *q
	more.noticeSalt[0] = byte(rand.Uint32())
	more.noticeSalt[1] = byte(rand.Uint32())
	more.noticeSalt[2] = byte(rand.Uint32())
	more.makeRequestEntry()
	more.requestIndex = more.w.Add(more.requestEntry)
	return &more
}
