// Go's net/http.
package main

import (
	"net/http"

	"zoo/calls"
)

func main() {
	client := &http.Client{Timeout: calls.Timeout()}
	calls.Run(func(call *calls.Call) error {
		request, err := call.Request()
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return call.Read(response.Body)
	})
}
