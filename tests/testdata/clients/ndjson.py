"""Python's standard library publishes numbers as a stream, and reads the answer only then."""
import http.client
import sys

address, count = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(address)


def lines():
    for n in range(0, count, 100):
        yield "".join('{"topic": "numbers", "message": %d}\n' % i for i in range(n, n + 100)).encode()


connection.request("POST", "/publish", body=lines(), headers={"Content-Type": "application/x-ndjson"}, encode_chunked=True)
response = connection.getresponse()
print(response.status, response.read().decode(), end="")
