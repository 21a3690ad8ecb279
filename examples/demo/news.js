// Adds what happens to one's sessions to the table, as it happens.
const rows = document.querySelector('.log tbody');
const news = new EventSource('/account/activity/news');
const check = () => document.dispatchEvent(new Event('portcullis-check'));

news.onmessage = ({ data }) => {
	const row = rows.insertRow(0);
	for (const text of ['just now', ...JSON.parse(data)]) row.insertCell().textContent = text;
};
// The last event of a session: left open, it would connect again. <portcullis-timeout> asks, and covers the page. Where the
// server could not tell whether the session lives, the browser connects again by itself.
news.addEventListener('session-ended', ({ data }) => {
	if (JSON.parse(data).reason !== 'unverifiable') news.close();
	check();
});
// Refused for good, which may be for the same reason.
news.onerror = () => news.readyState === EventSource.CLOSED && check();
