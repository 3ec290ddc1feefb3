<?php
// SPDX-License-Identifier: Apache-2.0
//
// A page of the demo: PHP as it is, run by door_fcgi.
$name = trim($_POST['name'] ?? '');
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PHP behind a door</title>
<link rel="icon" href="/favicon.ico" type="image/svg+xml">
<link rel="stylesheet" href="/demo.css">
</head>
<body><main>
<p class="note"><a href="/">&larr; The demo</a></p>
<h1>PHP behind a door</h1>
<form class="card" method="post">
<label>Your name<input name="name" maxlength="100" value="<?= htmlspecialchars($name) ?>"></label>
<button>Greet me</button>
</form>
<?php if ($name !== '') { ?>
<p class="card">Hello, <?= htmlspecialchars($name) ?>!</p>
<?php } ?>
<p class="note">PHP <?= PHP_VERSION ?> (<?= PHP_SAPI ?>), process <?= getmypid() ?>,
at <?= gmdate('H:i:s') ?> UTC.</p>
</main></body>
</html>
