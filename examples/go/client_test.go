// How a client team tests its client: go test . in this folder, with mock-server in the PATH.
package client

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// mockURL is where the one mock of all tests is.
var mockURL string

func TestMain(m *testing.M) {
	// The mock ends when the pipe to its stdin closes, however this process ends.
	mock := exec.Command("mock-server", "serve", "--world", "instant", "--port", "0", "--stop-with-stdin")
	mock.Stderr = os.Stderr
	stdin, err := mock.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	stdout, err := mock.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := mock.Start(); err != nil {
		log.Fatal(err)
	}
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		log.Fatal("mock-server did not start")
	}
	words := strings.Fields(ready)
	mockURL = words[len(words)-1]
	code := m.Run()
	stdin.Close()
	mock.Wait()
	os.Exit(code)
}

// gateway is what one test sees and steers of the mock: its test id keeps it apart from the others.
type gateway struct {
	t  *testing.T
	id string
}

func begin(t *testing.T) (*gateway, *Client) {
	t.Parallel()
	id := strings.NewReplacer("/", "-", ";", "-", "=", "-").Replace(t.Name())
	client := &Client{BaseURL: mockURL + "/__test__/" + id + "/v1", Key: "sk-test-unlimited", Tries: 3}
	client.HTTP.Timeout = 10 * time.Second
	return &gateway{t, id}, client
}

func (g *gateway) control(method, path, body string) (said map[string]any) {
	g.t.Helper()
	request, err := http.NewRequest(method, mockURL+"/__mock__/"+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	request.Header.Set("X-Mock-Test", g.id)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil || response.StatusCode != 200 {
		g.t.Fatal(response.Status, err, said)
	}
	return said
}

func (g *gateway) calls(filter string) int {
	g.t.Helper()
	return int(g.control("GET", "requests/count"+filter, "")["count"].(float64))
}

func TestItTriesAgainAfterA502(t *testing.T) {
	mock, client := begin(t)
	mock.control("POST", "faults", `{"code": 502, "times": 2}`)
	if _, err := client.Ask("hello"); err != nil {
		t.Fatal(err)
	}
	if failed, all := mock.calls("?status=502"), mock.calls(""); failed != 2 || all != 3 {
		t.Fatalf("%d failed, of %d calls", failed, all)
	}
}

func TestItWaitsAsItIsTold(t *testing.T) {
	mock, client := begin(t)
	mock.control("POST", "faults", `{"code": 429, "times": 1, "headers": {"Retry-After": "1"}}`)
	if _, err := client.Ask("hello"); err != nil {
		t.Fatal(err)
	}
	if verdict := mock.control("GET", "verdict", ""); verdict["result"] != "PASS" && verdict["result"] != "WARN" {
		t.Fatal(verdict)
	}
}

func TestItDoesNotTryAWrongKeyAgain(t *testing.T) {
	mock, client := begin(t)
	client.Key = "sk-test-revoked"
	if _, err := client.Ask("hello"); fmt.Sprint(err) != "INVALID_API_KEY" {
		t.Fatal(err)
	}
	if calls := mock.calls(""); calls != 1 {
		t.Fatalf("%d calls", calls)
	}
}

func TestHalfAStreamIsNoAnswer(t *testing.T) {
	for _, fault := range []string{"eof;after=1", "error_event", "garbage_event", "reset;stage=mid_stream;after=1"} {
		fault := fault
		t.Run(fault, func(t *testing.T) {
			mock, client := begin(t)
			mock.control("POST", "faults", fmt.Sprintf(`{"fault": %q, "times": 1}`, fault))
			if whole, err := client.Stream("hello"); err == nil {
				t.Fatalf("taken for an answer: %q", whole)
			}
		})
	}
}

func TestAStreamMayBeWrittenInAnyWay(t *testing.T) {
	for _, framing := range []string{"comments", "crlf", "bytewise", "multiline", "retry_lines"} {
		framing := framing
		t.Run(framing, func(t *testing.T) {
			mock, client := begin(t)
			mock.control("POST", "answers", `{"replies": [{"text": "It is sunny today."}]}`)
			mock.control("POST", "faults", fmt.Sprintf(`{"fault": "framing=%s", "times": 1}`, framing))
			if whole, err := client.Stream("hello"); whole != "It is sunny today." || err != nil {
				t.Fatalf("read %q, %v", whole, err)
			}
		})
	}
}
